{{
    config(
        materialized='monthly_batches',
        months_from='int_reading_months',
    )
}}

-- depends_on: {{ ref('int_reading_months') }}

with daily_contributions as (

    select * from {{ ref('int_interval_load_aggregates') }}
    where
        grain = 'day'
        and month_number in {{ batch_months() }}

),

version_starts as (

    {{ version_starts('daily_contributions') }}

),

days as (

    select
        version_starts.customer_key,
        daily_contributions.day_type,
        version_starts.month_number,
        version_starts.visible_from_month_number,
        max(daily_contributions.interval_minutes) as longest_interval_minutes,
        sum(daily_contributions.interval_count) as interval_count,
        sum(daily_contributions.observed_minutes) as observed_minutes,
        sum(daily_contributions.kwh) as kwh,
        sum(daily_contributions.kvarh) as kvarh,
        sum(daily_contributions.export_kwh) as export_kwh,
        max(daily_contributions.peak_kw) as peak_kw,
        daily_contributions.local_date
    from version_starts
    inner join daily_contributions
        on
            version_starts.customer_key = daily_contributions.customer_key
            and version_starts.month_number = daily_contributions.month_number
            and {{ is_visible_in('daily_contributions', 'version_starts.visible_from_month_number') }}
    group by
        version_starts.customer_key,
        daily_contributions.day_type,
        version_starts.month_number,
        version_starts.visible_from_month_number,
        daily_contributions.local_date

),

observed_days as (

    select
        *,
        cast(kwh as decimal(18, 4)) as day_kwh,
        -- A day with few readings would look like a day of low use.
        observed_minutes >= {{ var('complete_day_minutes') }} as is_complete,
        day_type = 'workday' as is_workday
    from days
    where interval_count > 0

),

months as (

    select
        customer_key,
        month_number,
        visible_from_month_number,
        cast(max(longest_interval_minutes) as smallint) as longest_interval_minutes,
        cast(sum(interval_count) as integer) as interval_count,
        cast(sum(observed_minutes) as integer) as observed_minutes,
        cast(count(*) as integer) as observed_days_count,
        cast(count(case when day_kwh = 0 then 1 end) as integer) as zero_days_count,
        cast(count(case when is_complete then 1 end) as integer) as complete_days_count,
        cast(coalesce(sum(case when is_workday then observed_minutes end), 0) as integer) as workday_minutes,
        cast(coalesce(sum(case when is_workday then day_kwh end), 0) as decimal(18, 4)) as workday_kwh,
        cast(coalesce(sum(case when is_complete then day_kwh end), 0) as decimal(18, 4)) as complete_days_kwh,
        -- Decimals: a sum of doubles would depend on the order of the rows.
        cast(
            coalesce(sum(case when is_complete then {{ squared('day_kwh') }} end), 0) as decimal(38, 8)
        ) as complete_days_squared_kwh,
        cast(sum(day_kwh) as decimal(18, 4)) as kwh,
        cast(sum(kvarh) as decimal(18, 4)) as kvarh,
        cast(sum(export_kwh) as decimal(18, 4)) as export_kwh,
        max(peak_kw) as peak_kw,
        min(local_date) as first_reading_date,
        max(local_date) as last_reading_date
    from observed_days
    group by customer_key, month_number, visible_from_month_number

),

final as (

    select
        months.*,
        lead(visible_from_month_number) over (
            partition by customer_key, month_number
            order by visible_from_month_number
        ) as visible_until_month_number
    from months

)

select * from final
