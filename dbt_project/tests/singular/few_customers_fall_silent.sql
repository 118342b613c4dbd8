{{ config(severity='warn', meta={
    'dagster': {'ref': {'name': 'customer_monthly_load'}},
    'description':
        'Hardly any customer whose readings were complete three months ago has less than half of them in the latest ' ~
        'month. When 5 % do, a batch of meters may have fallen silent: what is computed from twelve months shows it ' ~
        'late. Look at the meters of these customers by type, age, network and district; customers who left are to be ' ~
        'delivered with their closed_date.',
}) }}
with loads as (

    select
        customer_key,
        {{ month_number('month') }} as month_number,
        coverage_pct
    from {{ ref('customer_monthly_load') }}

),

complete as (

    select
        month_number,
        count(*) as customers_count
    from loads
    where coverage_pct >= 90
    group by month_number

),

-- A month that has only begun is complete for nobody; silence of most meters is for the freshness of the source to tell.
latest as (

    select max(complete.month_number) as month_number
    from complete
    inner join complete as before
        on complete.month_number = before.month_number + 3
    where
        before.customers_count >= 100
        and complete.customers_count >= 0.25 * before.customers_count

),

open_customers as (

    select customer_key
    from {{ ref('stg_crm__customers') }}
    where is_latest_version and closed_date is null

),

silent as (

    select
        count(*) as customers_count,
        100.0 * count(case when coalesce(now.coverage_pct, 0) < 50 then 1 end) / nullif(count(*), 0) as silent_pct
    from loads
    inner join latest
        on loads.month_number = latest.month_number - 3
    inner join open_customers
        on loads.customer_key = open_customers.customer_key
    left join loads as now
        on
            loads.customer_key = now.customer_key
            and latest.month_number = now.month_number
    where loads.coverage_pct >= 90

)

select * from silent
where silent_pct >= 5
