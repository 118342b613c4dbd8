{{ config(meta={
    'dagster': {'ref': {'name': 'stg_billing__bills'}},
    'description':
        'The bills of the latest month of issue cost about as much per kWh as those of the twelve months before. When ' ~
        'the mean of at least 20 bills differs by more than a factor of five, a unit or a currency of the billing ' ~
        'system has changed: no tariff does that, and nothing downstream should be trained or scored on it.',
}) }}
with bills as (

    select
        {{ month_number('issued_date') }} as issued_month_number,
        billed_kwh,
        billed_amount
    from {{ ref('stg_billing__bills') }}
    where
        is_latest_version
        and billed_kwh > 0
        and billed_amount > 0

),

latest_month as (

    select max(issued_month_number) as latest_month_number from bills

),

compared as (

    select
        bills.issued_month_number = latest_month.latest_month_number as is_latest,
        count(*) as bills_count,
        cast(sum(bills.billed_amount) as double) / cast(sum(bills.billed_kwh) as double) as amount_per_kwh
    from bills
    inner join latest_month
        on bills.issued_month_number between latest_month.latest_month_number - 12 and latest_month.latest_month_number
    group by bills.issued_month_number = latest_month.latest_month_number

)

select
    latest.bills_count,
    latest.amount_per_kwh,
    earlier.amount_per_kwh as earlier_amount_per_kwh
from compared as latest
inner join compared as earlier
    on
        latest.is_latest
        and not earlier.is_latest
where
    latest.bills_count >= 20
    and earlier.bills_count >= 20
    and (
        latest.amount_per_kwh > 5 * earlier.amount_per_kwh
        or latest.amount_per_kwh < 0.2 * earlier.amount_per_kwh
    )
