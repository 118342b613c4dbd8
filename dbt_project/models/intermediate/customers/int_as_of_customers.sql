with as_of_months as (

    select * from {{ ref('int_as_of_months') }}

),

customers as (

    select * from {{ ref('stg_crm__customers') }}

),

bills as (

    select * from {{ ref('stg_billing__bills') }}

),

monthly_load as (

    select * from {{ ref('int_monthly_load_versions') }}

),

-- A supplier may deliver bills or readings without a customer list; those customers count from their first record.
appearances as (

    select
        customer_key,
        min(visible_from_month_number) as first_month_number
    from customers
    group by customer_key
    union all
    select
        customer_key,
        min(visible_from_month_number) as first_month_number
    from bills
    group by customer_key
    union all
    select
        customer_key,
        min(visible_from_month_number) as first_month_number
    from monthly_load
    group by customer_key

),

first_appearances as (

    select
        customer_key,
        min(first_month_number) as first_month_number
    from appearances
    group by customer_key

),

final as (

    select
        first_appearances.customer_key,
        customers.customer_class,
        customers.district,
        customers.voltage_level,
        customers.supply_route,
        customers.attributes,
        as_of_months.as_of_month_number,
        as_of_months.recency_rank,
        customers.contract_capacity_kva,
        customers.credit_limit_amount,
        as_of_months.as_of_month_number - {{ month_number('customers.registered_date') }} as tenure_months,
        customers.registered_date,
        customers.closed_date,
        as_of_months.as_of_month,
        as_of_months.month_end_date,
        as_of_months.as_of_at
    from first_appearances
    inner join as_of_months
        on first_appearances.first_month_number <= as_of_months.as_of_month_number
    left join customers
        on
            first_appearances.customer_key = customers.customer_key
            and {{ is_visible_in('customers', 'as_of_months.as_of_month_number') }}
    where
        (customers.registered_date is null or customers.registered_date <= as_of_months.month_end_date)
        and (customers.closed_date is null or customers.closed_date >= as_of_months.as_of_month)

)

select * from final
