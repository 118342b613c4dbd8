with source as (

    select * from {{ landing_source('weather') }}

),

versions as (

    select
        district,
        cast(temperature_c as decimal(6, 2)) as temperature_c,
        observed_at,
        {{ is_latest_version(['district', 'observed_at']) }} as is_latest_version
    from source

),

final as (

    select
        district,
        temperature_c,
        observed_at
    from versions
    where is_latest_version

)

select * from final
