with source as (

    select * from {{ landing_source('customers') }}

),

versions as (

    select
        customer_key,
        customer_class,
        district,
        transformer_id,
        feeder_id,
        voltage_level,
        industry_code,
        supply_route,
        cast(contract_capacity_kva as double) as contract_capacity_kva,
        cast(credit_limit_amount as double) as credit_limit_amount,
        registered_date,
        closed_date,
        attributes,
        known_at,
        revision,
        {{ visible_from_month_number('known_at') }} as visible_from_month_number
    from source

),

final as (

    select
        versions.*,
        {{ visible_until_month_number(['customer_key']) }} as visible_until_month_number,
        {{ is_latest_version(['customer_key']) }} as is_latest_version
    from versions

)

select * from final
