with bills as (

    select * from {{ ref('stg_billing__bills') }}
    where
        is_latest_version
        and billed_kwh >= 0

),

daily_contributions as (

    select * from {{ ref('int_interval_load_aggregates') }}
    where
        grain = 'day'
        and visible_until_month_number is null

),

bill_months as (

    select
        bills.bill_id,
        bills.customer_key,
        bills.billed_kwh,
        {{ month_number('bills.period_start_date') }} + offsets.months_after as month_number,
        bills.period_start_date,
        bills.period_end_date
    from bills
    inner join {{ integer_series(0, 12, 'months_after') }} as offsets
        on
            {{ month_number('bills.period_start_date') }} + offsets.months_after
            <= {{ month_number(add_days_to_date('bills.period_end_date', -1)) }}

),

final as (

    select
        bill_months.bill_id,
        bill_months.customer_key,
        {{ percentage(
            'sum(daily_contributions.observed_minutes)',
            '1440 * ' ~ datediff('bill_months.period_start_date', 'bill_months.period_end_date', 'day')
        ) }} as coverage_pct,
        bill_months.billed_kwh,
        cast(sum(daily_contributions.kwh) as decimal(18, 4)) as metered_kwh,
        bill_months.period_start_date,
        bill_months.period_end_date
    from bill_months
    inner join daily_contributions
        on
            bill_months.customer_key = daily_contributions.customer_key
            and bill_months.month_number = daily_contributions.month_number
            and daily_contributions.local_date >= bill_months.period_start_date
            and daily_contributions.local_date < bill_months.period_end_date
    group by
        bill_months.bill_id,
        bill_months.customer_key,
        bill_months.billed_kwh,
        bill_months.period_start_date,
        bill_months.period_end_date

)

select * from final
