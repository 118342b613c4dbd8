with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}

),

monthly_load as (

    select * from {{ ref('int_monthly_load_versions') }}

),

calendar_slots as (

    select * from {{ ref('int_calendar_slots') }}

),

meters as (

    select * from {{ ref('stg_metering__meters') }}

),

calendar_months as (

    select
        month_number,
        extract(month from {{ month_start('month_number') }}) as month_of_year,
        cast(sum(slot_length_minutes) as integer) as month_minutes,
        {{ month_start('month_number') }} as month_start_date,
        {{ month_end('month_number') }} as month_end_date
    from calendar_slots
    group by month_number

),

-- The span in which the customer had a meter, as known in the as-of month.
metered_spans as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        min(coalesce(meters.installed_date, date '0001-01-01')) as first_metered_date,
        max(coalesce(meters.removed_date, date '9999-12-31')) as last_metered_date
    from as_of_customers
    inner join meters
        on
            as_of_customers.customer_key = meters.customer_key
            and {{ is_visible_in('meters', 'as_of_customers.as_of_month_number') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

-- The months of the trailing twelve, and of the three a year before the last three.
window_months as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        as_of_customers.as_of_month_number - monthly_load.month_number as months_ago,
        calendar_months.month_of_year,
        monthly_load.interval_count,
        monthly_load.observed_minutes,
        case
            when
                coalesce(metered_spans.first_metered_date <= calendar_months.month_start_date, true)
                and coalesce(metered_spans.last_metered_date >= calendar_months.month_end_date, true)
                then calendar_months.month_minutes
            else 1440 * (
                1 + {{ datediff(
                    'greatest(metered_spans.first_metered_date, calendar_months.month_start_date)',
                    'least(metered_spans.last_metered_date, calendar_months.month_end_date)',
                    'day'
                ) }}
            )
        end as expected_minutes,
        monthly_load.observed_days_count,
        monthly_load.zero_days_count,
        monthly_load.complete_days_count,
        monthly_load.complete_days_kwh,
        monthly_load.complete_days_squared_kwh,
        monthly_load.workday_minutes,
        monthly_load.workday_kwh,
        monthly_load.kwh,
        monthly_load.peak_kw,
        monthly_load.last_reading_date
    from as_of_customers
    inner join monthly_load
        on
            as_of_customers.customer_key = monthly_load.customer_key
            and monthly_load.month_number between
                as_of_customers.as_of_month_number - 14 and as_of_customers.as_of_month_number
            and {{ is_visible_in('monthly_load', 'as_of_customers.as_of_month_number') }}
    inner join calendar_months
        on monthly_load.month_number = calendar_months.month_number
    left join metered_spans
        on
            as_of_customers.customer_key = metered_spans.customer_key
            and as_of_customers.as_of_month_number = metered_spans.as_of_month_number

),

covered_months as (

    select
        *,
        -- A month with gaps would look like a month of low use.
        case when observed_minutes >= 0.9 * expected_minutes then kwh end as covered_kwh,
        months_ago <= 11 as is_in_year,
        months_ago <= 5 as is_in_half_year,
        months_ago <= 2 as is_in_quarter,
        months_ago >= 12 as is_in_quarter_of_last_year
    from window_months

),

sums as (

    select
        customer_key,
        as_of_month_number,
        cast(count(case when is_in_year then 1 end) as integer) as observed_months_count,
        {{ sum_where('observed_days_count', 'is_in_year', 'integer') }} as observed_days_count,
        {{ sum_where('zero_days_count', 'is_in_year', 'integer') }} as zero_days_count,
        {{ sum_where('zero_days_count', 'is_in_half_year', 'integer') }} as zero_days_6m_count,
        {{ sum_where('zero_days_count', 'is_in_quarter', 'integer') }} as zero_days_3m_count,
        {{ sum_where('observed_minutes', 'is_in_year', 'bigint') }} as observed_minutes,
        {{ sum_where('expected_minutes', 'is_in_year', 'bigint') }} as expected_minutes,
        {{ sum_where('kwh', 'is_in_year', 'decimal(18, 4)') }} as kwh,
        max(case when is_in_year then peak_kw end) as peak_kw,
        {{ sum_where('observed_minutes', 'is_in_half_year', 'bigint') }} as observed_minutes_6m,
        {{ sum_where('kwh', 'is_in_half_year', 'decimal(18, 4)') }} as kwh_6m,
        max(case when is_in_half_year then peak_kw end) as peak_kw_6m,
        {{ sum_where('observed_minutes', 'is_in_quarter', 'bigint') }} as observed_minutes_3m,
        {{ sum_where('kwh', 'is_in_quarter', 'decimal(18, 4)') }} as kwh_3m,
        max(case when is_in_quarter then peak_kw end) as peak_kw_3m,
        count(case when is_in_quarter then 1 end) as observed_months_3m_count,
        {{ sum_where('observed_minutes', 'is_in_quarter_of_last_year', 'bigint') }} as observed_minutes_3m_last_year,
        {{ sum_where('kwh', 'is_in_quarter_of_last_year', 'decimal(18, 4)') }} as kwh_3m_last_year,
        count(case when is_in_quarter_of_last_year then 1 end) as observed_months_3m_last_year_count,
        {{ sum_where('workday_minutes', 'is_in_year', 'bigint') }} as workday_minutes,
        {{ sum_where('workday_kwh', 'is_in_year', 'decimal(18, 4)') }} as workday_kwh,
        {{ sum_where('observed_minutes', 'is_in_year and month_of_year in (6, 7, 8)', 'bigint') }} as summer_minutes,
        {{ sum_where('kwh', 'is_in_year and month_of_year in (6, 7, 8)', 'decimal(18, 4)') }} as summer_kwh,
        {{ sum_where('observed_minutes', 'is_in_year and month_of_year in (12, 1, 2)', 'bigint') }} as winter_minutes,
        {{ sum_where('kwh', 'is_in_year and month_of_year in (12, 1, 2)', 'decimal(18, 4)') }} as winter_kwh,
        {{ sum_where('complete_days_count', 'is_in_year', 'bigint') }} as complete_days_count,
        {{ sum_where('complete_days_kwh', 'is_in_year', 'decimal(18, 4)') }} as complete_days_kwh,
        {{ sum_where('complete_days_squared_kwh', 'is_in_year', 'decimal(38, 8)') }} as complete_days_squared_kwh,
        count(case when is_in_quarter then covered_kwh end) as covered_months_3m_count,
        {{ sum_where('covered_kwh', 'is_in_quarter', 'decimal(18, 4)') }} as covered_months_3m_kwh,
        {{ sum_where(squared('covered_kwh'), 'is_in_quarter', 'decimal(38, 8)') }} as covered_months_3m_squared_kwh,
        count(case when is_in_half_year then covered_kwh end) as covered_months_6m_count,
        {{ sum_where('covered_kwh', 'is_in_half_year', 'decimal(18, 4)') }} as covered_months_6m_kwh,
        {{ sum_where(squared('covered_kwh'), 'is_in_half_year', 'decimal(38, 8)') }} as covered_months_6m_squared_kwh,
        count(case when is_in_year then covered_kwh end) as covered_months_12m_count,
        {{ sum_where('covered_kwh', 'is_in_year', 'decimal(18, 4)') }} as covered_months_12m_kwh,
        {{ sum_where(squared('covered_kwh'), 'is_in_year', 'decimal(38, 8)') }} as covered_months_12m_squared_kwh,
        max(last_reading_date) as last_reading_date
    from covered_months
    group by customer_key, as_of_month_number

),

final as (

    select
        customer_key,
        as_of_month_number,
        observed_months_count,
        observed_days_count,
        cast(kwh as double) as annual_kwh,
        {{ mean_power('kwh', 'observed_minutes') }} * 24 as mean_daily_kwh,
        cast(peak_kw as double) as peak_kw,
        {{ at_most(mean_power('kwh', 'observed_minutes') ~ ' / nullif(cast(peak_kw as double), 0)', 1) }} as load_factor,
        {{ at_most(percentage('observed_minutes', 'expected_minutes'), 100) }} as coverage_pct,
        {{ mean_power('(kwh - workday_kwh)', '(observed_minutes - workday_minutes)') }}
        / nullif({{ mean_power('workday_kwh', 'workday_minutes') }}, 0) as weekend_ratio,
        {{ mean_power('summer_kwh', 'summer_minutes') }}
        / nullif({{ mean_power('kwh', 'observed_minutes') }}, 0) as summer_ratio,
        {{ mean_power('winter_kwh', 'winter_minutes') }}
        / nullif({{ mean_power('kwh', 'observed_minutes') }}, 0) as winter_ratio,
        {{ variation('complete_days_count', 'complete_days_kwh', 'complete_days_squared_kwh', 7) }} as daily_kwh_cv,
        zero_days_count,
        -- Mean power instead of energy, so that a gap is not read as a change; all six months must have readings.
        case
            when observed_months_3m_count = 3 and observed_months_3m_last_year_count = 3
                then 100 * (
                    {{ mean_power('kwh_3m', 'observed_minutes_3m') }}
                    / nullif({{ mean_power('kwh_3m_last_year', 'observed_minutes_3m_last_year') }}, 0)
                    - 1
                )
        end as kwh_change_yoy_pct,
        {{ variation(
            'covered_months_3m_count', 'covered_months_3m_kwh', 'covered_months_3m_squared_kwh', 3
        ) }} as monthly_kwh_cv_3m,
        {{ variation(
            'covered_months_6m_count', 'covered_months_6m_kwh', 'covered_months_6m_squared_kwh', 3
        ) }} as monthly_kwh_cv_6m,
        {{ variation(
            'covered_months_12m_count', 'covered_months_12m_kwh', 'covered_months_12m_squared_kwh', 3
        ) }} as monthly_kwh_cv_12m,
        {{ at_most(mean_power('kwh_3m', 'observed_minutes_3m') ~ ' / nullif(cast(peak_kw_3m as double), 0)', 1) }}
            as load_factor_3m,
        {{ at_most(mean_power('kwh_6m', 'observed_minutes_6m') ~ ' / nullif(cast(peak_kw_6m as double), 0)', 1) }}
            as load_factor_6m,
        zero_days_3m_count,
        zero_days_6m_count,
        cast(peak_kw_3m as double) as peak_kw_3m,
        cast(peak_kw_6m as double) as peak_kw_6m,
        last_reading_date
    from sums

)

select * from final
