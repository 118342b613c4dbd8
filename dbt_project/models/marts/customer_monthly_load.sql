with monthly_load as (

    select * from {{ ref('int_monthly_load_versions') }}
    where visible_until_month_number is null

),

metered_customer_months as (

    select * from {{ ref('int_metered_customer_months') }}

),

calendar_slots as (

    select * from {{ ref('int_calendar_slots') }}

),

customers as (

    select * from {{ ref('stg_crm__customers') }}
    where is_latest_version

),

temperatures as (

    select * from {{ ref('int_monthly_temperature') }}

),

calendar_days as (

    select
        month_number,
        local_date,
        sum(slot_length_minutes) as day_minutes
    from calendar_slots
    group by month_number, local_date

),

customer_spans as (

    select
        customer_key,
        min(month_number) as first_month_number,
        max(month_number) as last_month_number
    from monthly_load
    group by customer_key

),

calendar_months as (

    select
        month_number,
        min(local_date) as first_date,
        max(local_date) as last_date
    from calendar_slots
    group by month_number

),

-- A month without any reading between the first and the last is a gap that should be seen.
gapless_months as (

    select
        metered_customer_months.customer_key,
        metered_customer_months.month_number
    from metered_customer_months
    inner join customer_spans
        on
            metered_customer_months.customer_key = customer_spans.customer_key
            and metered_customer_months.month_number between
                customer_spans.first_month_number and customer_spans.last_month_number
    union
    select
        customer_key,
        month_number
    from monthly_load

),

customer_months as (

    select
        gapless_months.customer_key,
        gapless_months.month_number,
        coalesce(metered_customer_months.first_metered_date, calendar_months.first_date) as first_metered_date,
        coalesce(metered_customer_months.last_metered_date, calendar_months.last_date) as last_metered_date
    from gapless_months
    inner join calendar_months
        on gapless_months.month_number = calendar_months.month_number
    left join metered_customer_months
        on
            gapless_months.customer_key = metered_customer_months.customer_key
            and gapless_months.month_number = metered_customer_months.month_number

),

metered_spans as (

    select distinct
        month_number,
        first_metered_date,
        last_metered_date
    from customer_months

),

expected as (

    select
        metered_spans.month_number,
        metered_spans.first_metered_date,
        metered_spans.last_metered_date,
        sum(calendar_days.day_minutes) as expected_minutes
    from metered_spans
    inner join calendar_days
        on
            metered_spans.month_number = calendar_days.month_number
            and calendar_days.local_date between metered_spans.first_metered_date and metered_spans.last_metered_date
    group by metered_spans.month_number, metered_spans.first_metered_date, metered_spans.last_metered_date

),

intervals as (

    select
        customer_key,
        cast(sum(observed_minutes) as double) / sum(interval_count) as mean_interval_minutes
    from monthly_load
    group by customer_key

),

final as (

    select
        customer_months.customer_key,
        cast({{ month_start('customer_months.month_number') }} as date) as month,
        cast(monthly_load.kwh as decimal(18, 4)) as kwh,
        cast(monthly_load.peak_kw as decimal(14, 4)) as peak_kw,
        cast(coalesce(monthly_load.interval_count, 0) as integer) as interval_count,
        cast(
            round(
                expected.expected_minutes / coalesce(
                    cast(monthly_load.observed_minutes as double) / monthly_load.interval_count,
                    intervals.mean_interval_minutes
                )
            ) as integer
        ) as expected_interval_count,
        coalesce(
            {{ at_most(percentage('monthly_load.observed_minutes', 'expected.expected_minutes'), 100) }}, 0
        ) as coverage_pct,
        cast(monthly_load.zero_days_count as integer) as zero_days_count,
        cast(temperatures.mean_temperature_c as double) as mean_temperature_c
    from customer_months
    inner join expected
        on
            customer_months.month_number = expected.month_number
            and customer_months.first_metered_date = expected.first_metered_date
            and customer_months.last_metered_date = expected.last_metered_date
    inner join intervals
        on customer_months.customer_key = intervals.customer_key
    left join monthly_load
        on
            customer_months.customer_key = monthly_load.customer_key
            and customer_months.month_number = monthly_load.month_number
    left join customers
        on customer_months.customer_key = customers.customer_key
    left join temperatures
        on
            customers.district = temperatures.district
            and customer_months.month_number = temperatures.month_number

)

select * from final
