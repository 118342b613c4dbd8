{%- set hours = range(24) -%}
{%- set day_classes = ['workday', 'rest_day'] -%}
{%- set block_starts = range(0, 24, 4) -%}

with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}
    where recency_rank <= {{ var('feature_months') }}

),

monthly_shape as (

    select * from {{ ref('int_monthly_shape_versions') }}

),

season_sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        {{ season_of('monthly_shape.month_number') }} as season
        {%- for day_class in day_classes %}
        {%- for hour in hours %}
        {%- set column = day_class ~ '_' ~ '%02d' % hour %},
        cast(sum(monthly_shape.{{ column }}_minutes) as integer) as {{ column }}_minutes,
        cast(sum(monthly_shape.{{ column }}_kwh) as decimal(18, 4)) as {{ column }}_kwh
        {%- endfor %}
        {%- endfor %}
    from as_of_customers
    inner join monthly_shape
        on
            as_of_customers.customer_key = monthly_shape.customer_key
            and monthly_shape.month_number between
                as_of_customers.as_of_month_number - 11 and as_of_customers.as_of_month_number
            and {{ is_visible_in('monthly_shape', 'as_of_customers.as_of_month_number') }}
    group by
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        {{ season_of('monthly_shape.month_number') }}

),

sums as (

    select
        customer_key,
        as_of_month_number
        {%- for day_class in day_classes %}
        {%- for hour in hours %}
        {%- set column = day_class ~ '_' ~ '%02d' % hour %},
        sum({{ column }}_minutes) as {{ column }}_minutes,
        sum({{ column }}_kwh) as {{ column }}_kwh
        {%- endfor %}
        {%- endfor %}
    from season_sums
    group by customer_key, as_of_month_number

),

season_blocks as (

    select
        customer_key,
        as_of_month_number,
        season
        {%- for start in block_starts %}
        {%- set kwh = [] -%}
        {%- set minutes = [] -%}
        {%- for hour in range(start, start + 4) -%}
        {%- for day_class in day_classes -%}
        {%- do kwh.append('coalesce(%s_%02d_kwh, 0)' % (day_class, hour)) -%}
        {%- do minutes.append('coalesce(%s_%02d_minutes, 0)' % (day_class, hour)) -%}
        {%- endfor -%}
        {%- endfor %},
        {{ kwh | join(' + ') }} as block_{{ '%02d' % start }}_kwh,
        {{ minutes | join(' + ') }} as block_{{ '%02d' % start }}_minutes
        {%- endfor %}
    from season_sums

),

season_power as (

    select
        customer_key,
        as_of_month_number,
        season,
        {% for start in block_starts -%}
        block_{{ '%02d' % start }}_minutes {{ ' + ' if not loop.last }}
        {%- endfor %} as observed_minutes
        {%- for start in block_starts %}
        {%- set block = 'block_%02d' % start %},
        {{ mean_power(block ~ '_kwh', block ~ '_minutes') }} as {{ block }}_kw
        {%- endfor %}
    from season_blocks

),

{% set block_kw = [] -%}
{%- for start in block_starts -%}{%- do block_kw.append('block_%02d_kw' % start) -%}{%- endfor -%}

-- A season of a few days would say more about those days than about the season.
season_shapes as (

    select
        customer_key,
        as_of_month_number,
        season
        {%- for start in block_starts %},
        block_{{ '%02d' % start }}_kw / nullif({{ mean_of(block_kw) }}, 0) as block_{{ '%02d' % start }}_ratio
        {%- endfor %}
    from season_power
    where observed_minutes >= 1440 * {{ var('season_observed_days') }}

),

season_shifts as (

    select
        customer_key,
        as_of_month_number
        {%- for season in ['summer', 'winter'] %}
        {%- for start in block_starts %}
        {%- set ratio = 'block_%02d_ratio' % start %},
        max(case when season = '{{ season }}' then {{ ratio }} end)
        - max(case when season = 'mild' then {{ ratio }} end) as {{ season }}_shift_{{ '%02d' % start }}
        {%- endfor %}
        {%- endfor %}
    from season_shapes
    group by customer_key, as_of_month_number

),

hourly_power as (

    select
        customer_key,
        as_of_month_number
        {%- for hour in hours %}
        {%- set hh = '%02d' % hour %},
        {{ mean_power('workday_' ~ hh ~ '_kwh', 'workday_' ~ hh ~ '_minutes') }} as workday_{{ hh }}_kw,
        {{ mean_power('rest_day_' ~ hh ~ '_kwh', 'rest_day_' ~ hh ~ '_minutes') }} as rest_day_{{ hh }}_kw,
        {{ mean_power(
            '(coalesce(workday_' ~ hh ~ '_kwh, 0) + coalesce(rest_day_' ~ hh ~ '_kwh, 0))',
            '(coalesce(workday_' ~ hh ~ '_minutes, 0) + coalesce(rest_day_' ~ hh ~ '_minutes, 0))'
        ) }} as day_{{ hh }}_kw
        {%- endfor %}
    from sums

),

{% set workday_kw = [] -%}
{%- set rest_day_kw = [] -%}
{%- set day_kw = [] -%}
{%- set night_kw = [] -%}
{%- for hour in hours -%}
    {%- do workday_kw.append('workday_%02d_kw' % hour) -%}
    {%- do rest_day_kw.append('rest_day_%02d_kw' % hour) -%}
    {%- do day_kw.append('day_%02d_kw' % hour) -%}
    {%- if hour >= 22 or hour < 6 -%}{%- do night_kw.append('day_%02d_kw' % hour) -%}{%- endif -%}
{%- endfor -%}

-- A shape needs all of its 24 hours.
final as (

    select
        hourly_power.customer_key,
        hourly_power.as_of_month_number
        {%- for hour in hours %},
        workday_{{ '%02d' % hour }}_kw / nullif({{ mean_of(workday_kw) }}, 0) as weekday_shape_{{ '%02d' % hour }}
        {%- endfor %}
        {%- for hour in hours %},
        rest_day_{{ '%02d' % hour }}_kw / nullif({{ mean_of(rest_day_kw) }}, 0) as weekend_shape_{{ '%02d' % hour }}
        {%- endfor %}
        {%- for season in ['summer', 'winter'] %}
        {%- for start in block_starts %},
        season_shifts.{{ season }}_shift_{{ '%02d' % start }}
        {%- endfor %}
        {%- endfor %},
        case
            when {{ mean_of(day_kw) }} > 0
                then {{ mean_of_smallest(day_kw, 3) }} / {{ mean_of(day_kw) }}
        end as base_share,
        case
            when {{ mean_of(workday_kw) }} > 0
                then cast({{ position_of_maximum(workday_kw) }} as double)
        end as peak_hour,
        case
            when {{ mean_of(day_kw) }} > 0
                then ({{ night_kw | join(' + ') }}) / (24 * {{ mean_of(day_kw) }})
        end as night_share
    from hourly_power
    left join season_shifts
        on
            hourly_power.customer_key = season_shifts.customer_key
            and hourly_power.as_of_month_number = season_shifts.as_of_month_number

)

select * from final
