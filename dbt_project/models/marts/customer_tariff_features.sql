with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}
    where recency_rank <= {{ var('feature_months') }}

),

load as (

    select * from {{ ref('int_as_of_load') }}

),

shape as (

    select * from {{ ref('int_as_of_shape') }}

),

tariffs as (

    select * from {{ ref('int_as_of_tariffs') }}

),

final as (

    select
        as_of_customers.customer_key,
        cast(as_of_customers.as_of_month as date) as as_of_month,
        as_of_customers.district,
        as_of_customers.customer_class,
        as_of_customers.voltage_level,
        as_of_customers.supply_route,
        as_of_customers.contract_capacity_kva,
        tariffs.tariff_id,
        tariffs.billing_basis,
        tariffs.contracted_kw,
        cast(coalesce(load.observed_months_count, 0) as double) as observed_months_count,
        load.coverage_pct,
        load.annual_kwh,
        load.peak_kw,
        load.summer_ratio,
        load.winter_ratio,
        load.kwh_change_yoy_pct,
        shape.night_share
    from as_of_customers
    left join load
        on
            as_of_customers.customer_key = load.customer_key
            and as_of_customers.as_of_month_number = load.as_of_month_number
    left join shape
        on
            as_of_customers.customer_key = shape.customer_key
            and as_of_customers.as_of_month_number = shape.as_of_month_number
    left join tariffs
        on
            as_of_customers.customer_key = tariffs.customer_key
            and as_of_customers.as_of_month_number = tariffs.as_of_month_number

)

select * from final
