{%- set hours = range(24) -%}
{%- set day_classes = ['workday', 'rest_day'] -%}

with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}
    where recency_rank <= {{ var('feature_months') }}

),

monthly_shape as (

    select * from {{ ref('int_monthly_shape_versions') }}

),

sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number
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
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

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
        customer_key,
        as_of_month_number
        {%- for hour in hours %},
        workday_{{ '%02d' % hour }}_kw / nullif({{ mean_of(workday_kw) }}, 0) as weekday_shape_{{ '%02d' % hour }}
        {%- endfor %}
        {%- for hour in hours %},
        rest_day_{{ '%02d' % hour }}_kw / nullif({{ mean_of(rest_day_kw) }}, 0) as weekend_shape_{{ '%02d' % hour }}
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

)

select * from final
