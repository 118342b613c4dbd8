with source as (

    select * from {{ landing_source('tariffs') }}

),

versions as (

    select
        tariff_id,
        version,
        tariff_json,
        valid_from as valid_from_date,
        valid_to as valid_to_date,
        {{ is_latest_version(['tariff_id', 'version']) }} as is_latest_version
    from source

),

final as (

    select
        tariff_id,
        version,
        tariff_json,
        valid_from_date,
        valid_to_date
    from versions
    where is_latest_version

)

select * from final
