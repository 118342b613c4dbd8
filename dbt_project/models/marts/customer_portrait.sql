with customers as (

    select * from {{ ref('stg_crm__customers') }}
    where is_latest_version

),

as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}

),

last_as_of_month as (

    select * from {{ ref('int_as_of_months') }}
    where recency_rank = 1

),

load as (

    select * from {{ ref('int_as_of_load') }}

),

billing as (

    select * from {{ ref('int_as_of_billing') }}

),

service as (

    select * from {{ ref('int_as_of_service') }}

),

tariffs as (

    select * from {{ ref('int_as_of_tariffs') }}

),

customer_keys as (

    select customer_key from customers
    union
    select customer_key from as_of_customers

),

final as (

    select
        customer_keys.customer_key,
        customers.customer_class,
        customers.district,
        customers.voltage_level,
        customers.supply_route,
        tariffs.tariff_id,
        '{{ var("currency") }}' as currency,
        customers.contract_capacity_kva,
        cast(as_of_customers.tenure_months as integer) as tenure_months,
        load.annual_kwh,
        load.mean_daily_kwh,
        load.peak_kw,
        load.load_factor,
        load.coverage_pct,
        cast(billing.billed_amount_12m_amount as decimal(18, 2)) as billed_amount_12m_amount,
        cast(billing.unpaid_amount as decimal(18, 2)) as unpaid_amount,
        cast(billing.late_bills_12m_count as integer) as late_bills_12m_count,
        cast(service.contacts_12m_count as integer) as contacts_12m_count,
        cast(service.mean_satisfaction_12m as double) as mean_satisfaction_12m,
        cast(service.programmes_count as integer) as programmes_count,
        customers.registered_date,
        customers.closed_date,
        load.last_reading_date,
        cast(last_as_of_month.as_of_month as date) as as_of_month
    from customer_keys
    left join customers
        on customer_keys.customer_key = customers.customer_key
    -- Before the first month is over there is nothing to sum up, but the customer is there.
    left join last_as_of_month
        on true
    left join as_of_customers
        on
            customer_keys.customer_key = as_of_customers.customer_key
            and last_as_of_month.as_of_month_number = as_of_customers.as_of_month_number
    left join load
        on
            customer_keys.customer_key = load.customer_key
            and last_as_of_month.as_of_month_number = load.as_of_month_number
    left join billing
        on
            customer_keys.customer_key = billing.customer_key
            and last_as_of_month.as_of_month_number = billing.as_of_month_number
    left join service
        on
            customer_keys.customer_key = service.customer_key
            and last_as_of_month.as_of_month_number = service.as_of_month_number
    left join tariffs
        on
            customer_keys.customer_key = tariffs.customer_key
            and last_as_of_month.as_of_month_number = tariffs.as_of_month_number

)

select * from final
