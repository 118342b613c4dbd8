with source as (

    select * from {{ landing_source('inspections') }}

),

versions as (

    select
        inspection_id,
        customer_key,
        outcome,
        inspected_date,
        known_at,
        revision,
        {{ visible_from_month_number('known_at', month_number('inspected_date')) }} as visible_from_month_number
    from source

),

final as (

    select
        versions.*,
        {{ visible_until_month_number(['inspection_id']) }} as visible_until_month_number,
        {{ is_latest_version(['inspection_id']) }} as is_latest_version
    from versions

)

select * from final
