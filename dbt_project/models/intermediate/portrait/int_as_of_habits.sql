{%- set windows = {
    'night': [22, 23, 0, 1, 2, 3, 4, 5],
    'morning': range(6, 10),
    'midday': range(10, 16),
    'evening': range(16, 22),
} -%}

with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}
    where recency_rank <= {{ var('feature_months') }}

),

habits as (

    select * from {{ ref('int_monthly_habit_versions') }}

),

monthly_shape as (

    select * from {{ ref('int_monthly_shape_versions') }}

),

monthly_load as (

    select * from {{ ref('int_monthly_load_versions') }}

),

habit_sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number
        {%- for word in portrait_day_words() %},
        cast(sum(habits.{{ word }}_days_count) as integer) as {{ word }}_days_count
        {%- endfor %},
        cast(sum(
            {%- for word in portrait_day_words() %}
            {{ '+ ' if not loop.first }}habits.{{ word }}_days_count
            {%- endfor %}
        ) as integer) as shaped_days_count,
        cast(sum(habits.mild_days_count) as integer) as mild_days_count,
        cast(sum(habits.vehicle_like_days_count) as integer) as vehicle_like_days_count,
        cast(sum(habits.vehicle_like_peak_kw) as double) as vehicle_like_peak_kw,
        cast(sum(habits.weather_days_count) as integer) as weather_days_count
    from as_of_customers
    inner join habits
        on
            as_of_customers.customer_key = habits.customer_key
            and coalesce(as_of_customers.district, '') = coalesce(habits.district, '')
            and habits.month_number between
                as_of_customers.as_of_month_number - 11 and as_of_customers.as_of_month_number
            and {{ is_visible_in('habits', 'as_of_customers.as_of_month_number') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

monthly_windows as (

    select
        customer_key,
        month_number,
        visible_from_month_number,
        visible_until_month_number
        {%- for window, hours in windows.items() %},
        (
            {%- for hour in hours %}
            {{ '+ ' if not loop.first }}coalesce(workday_{{ '%02d' % hour }}_kwh, 0) + coalesce(rest_day_{{ '%02d' % hour }}_kwh, 0)
            {%- endfor %}
        ) as {{ window }}_kwh
        {%- endfor %}
        {%- for window, hours in {'noon': [11, 12, 13], 'shoulder': [7, 8, 16, 17]}.items() %},
        {%- for measure in ['kwh', 'minutes'] %}
        (
            {%- for hour in hours %}
            {{ '+ ' if not loop.first }}coalesce(workday_{{ '%02d' % hour }}_{{ measure }}, 0) + coalesce(rest_day_{{ '%02d' % hour }}_{{ measure }}, 0)
            {%- endfor %}
        ) as {{ window }}_{{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
        {%- endfor %},
        -- Spring and autumn: the sun is high and hardly anybody heats or cools.
        extract(month from {{ month_start('month_number') }}) in (3, 4, 5, 9, 10) as is_mild_month
    from monthly_shape

),

window_sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number
        {%- for window in windows %},
        sum(monthly_windows.{{ window }}_kwh) as {{ window }}_kwh
        {%- endfor %}
        {%- for column in ['noon_kwh', 'noon_minutes', 'shoulder_kwh', 'shoulder_minutes'] %},
        sum(case when monthly_windows.is_mild_month then monthly_windows.{{ column }} end) as {{ column }}
        {%- endfor %}
    from as_of_customers
    inner join monthly_windows
        on
            as_of_customers.customer_key = monthly_windows.customer_key
            and monthly_windows.month_number between
                as_of_customers.as_of_month_number - 11 and as_of_customers.as_of_month_number
            and {{ is_visible_in('monthly_windows', 'as_of_customers.as_of_month_number') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

exports as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        sum(monthly_load.export_kwh) as export_kwh
    from as_of_customers
    inner join monthly_load
        on
            as_of_customers.customer_key = monthly_load.customer_key
            and monthly_load.month_number between
                as_of_customers.as_of_month_number - 11 and as_of_customers.as_of_month_number
            and {{ is_visible_in('monthly_load', 'as_of_customers.as_of_month_number') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

final as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        coalesce(habit_sums.shaped_days_count, 0) as shaped_days_count,
        coalesce(habit_sums.weather_days_count, 0) as weather_days_count,
        coalesce(habit_sums.mild_days_count, 0) as mild_days_count,
        -- Shannon's entropy of the words; `nullif` leaves words out that never occur.
        case
            when habit_sums.shaped_days_count > 0
                then 0e0
                {%- for word in portrait_day_words() %}
                - coalesce(
                    habit_sums.{{ word }}_days_count
                    * log2(cast(nullif(habit_sums.{{ word }}_days_count, 0) as double) / habit_sums.shaped_days_count)
                    / habit_sums.shaped_days_count,
                    0
                )
                {%- endfor %}
        end as day_shape_entropy_bits,
        {%- set largest = [] %}
        {%- for word in portrait_day_words() -%}{%- do largest.append('habit_sums.' ~ word ~ '_days_count') -%}{%- endfor %}
        case
            {%- for word in portrait_day_words() %}
            when
                habit_sums.shaped_days_count > 0
                and habit_sums.{{ word }}_days_count = greatest({{ largest | join(', ') }})
                then '{{ word }}'
            {%- endfor %}
        end as usual_day_shape,
        cast(greatest({{ largest | join(', ') }}) as double) / nullif(habit_sums.shaped_days_count, 0)
            as usual_day_shape_share,
        cast(
            habit_sums.broad_16_days_count + habit_sums.broad_20_days_count
            + habit_sums.sharp_16_days_count + habit_sums.sharp_20_days_count as double
        ) / nullif(habit_sums.shaped_days_count, 0) as evening_peak_days_share,
        cast(
            {%- for hour in range(0, 24, 4) %}
            {{ '+ ' if not loop.first }}habit_sums.sharp_{{ hour }}_days_count
            {%- endfor %} as double
        ) / nullif(habit_sums.shaped_days_count, 0) as sharp_peak_days_share
        {%- for window in windows %},
        cast(window_sums.{{ window }}_kwh as double)
        / nullif(cast(
            window_sums.night_kwh + window_sums.morning_kwh + window_sums.midday_kwh + window_sums.evening_kwh as double
        ), 0) as {{ window }}_kwh_share
        {%- endfor %},
        {{ mean_power('window_sums.noon_kwh', 'window_sums.noon_minutes') }}
        / nullif({{ mean_power('window_sums.shoulder_kwh', 'window_sums.shoulder_minutes') }}, 0) as noon_ratio,
        cast(exports.export_kwh as double) as export_kwh,
        cast(habit_sums.vehicle_like_days_count as double) / nullif(habit_sums.mild_days_count, 0)
            as vehicle_like_days_share,
        habit_sums.vehicle_like_peak_kw / nullif(habit_sums.vehicle_like_days_count, 0) as vehicle_like_peak_kw
    from as_of_customers
    left join habit_sums
        on
            as_of_customers.customer_key = habit_sums.customer_key
            and as_of_customers.as_of_month_number = habit_sums.as_of_month_number
    left join window_sums
        on
            as_of_customers.customer_key = window_sums.customer_key
            and as_of_customers.as_of_month_number = window_sums.as_of_month_number
    left join exports
        on
            as_of_customers.customer_key = exports.customer_key
            and as_of_customers.as_of_month_number = exports.as_of_month_number

)

select * from final
