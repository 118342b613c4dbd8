{{ config(severity='warn', meta={
    'dagster': {'ref': {'name': 'customer_monthly_load'}},
    'description':
        'Hardly any customer of the latest month uses less than half of what the same month a year before suggests, ' ~
        'weather and the times taken out by the change of the middle customer. When 3 % do, and twice as many as on ' ~
        'average in the months before, a batch of meters may have begun to record too little: look at the meters of ' ~
        'these customers by type, age and district before their bills go out.',
}) }}
with loads as (

    select
        customer_key,
        {{ month_number('month') }} as month_number,
        cast(kwh as double) as kwh
    from {{ ref('customer_monthly_load') }}
    where
        coverage_pct >= 90
        and kwh > 0

),

changes as (

    select
        loads.month_number,
        loads.kwh / year_before.kwh as change
    from loads
    inner join loads as year_before
        on
            loads.customer_key = year_before.customer_key
            and loads.month_number = year_before.month_number + 12

),

usual as (

    select
        month_number,
        {{ quantile('change', 0.5) }} as usual_change
    from changes
    group by month_number
    having count(*) >= 100

),

shares as (

    select
        changes.month_number,
        count(*) as customers_count,
        100.0 * count(case when changes.change < 0.5 * usual.usual_change then 1 end) / count(*) as halved_pct
    from changes
    inner join usual
        on changes.month_number = usual.month_number
    group by changes.month_number

),

latest as (

    select * from shares
    where month_number = (select max(month_number) from shares)

),

earlier as (

    select avg(shares.halved_pct) as halved_pct
    from shares
    inner join latest
        on shares.month_number between latest.month_number - 12 and latest.month_number - 1

)

select
    latest.month_number,
    latest.customers_count,
    latest.halved_pct,
    earlier.halved_pct as earlier_halved_pct
from latest
cross join earlier
where
    latest.halved_pct >= 3
    and latest.halved_pct >= 2 * earlier.halved_pct
