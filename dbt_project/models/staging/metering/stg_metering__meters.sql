with source as (

    select * from {{ landing_source('meters') }}

),

versions as (

    select
        meter_id,
        customer_key,
        interval_minutes,
        installed_date,
        removed_date,
        known_at,
        revision,
        {{ visible_from_month_number('known_at') }} as visible_from_month_number
    from source

),

final as (

    select
        versions.*,
        {{ visible_until_month_number(['meter_id', 'customer_key']) }} as visible_until_month_number,
        {{ is_latest_version(['meter_id', 'customer_key']) }} as is_latest_version
    from versions

)

select * from final
