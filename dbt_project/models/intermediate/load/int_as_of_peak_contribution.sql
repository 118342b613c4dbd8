{%- set cells = [] -%}
{%- for day_class in ['workday', 'rest_day'] -%}
{%- for hour in range(24) -%}{%- do cells.append('%s_%02d' % (day_class, hour)) -%}{%- endfor -%}
{%- endfor -%}

with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}
    where recency_rank <= {{ var('feature_months') }}

),

monthly_shape as (

    select * from {{ ref('int_monthly_shape_versions') }}

),

monthly_load as (

    select * from {{ ref('int_monthly_load_versions') }}

),

peak_hours as (

    select * from {{ ref('int_system_peak_hours') }}

),

peak_months as (

    select
        as_of_month_number,
        month_number
        {%- for cell in cells %},
        max(case when cell = {{ loop.index0 }} then 1 else 0 end) as is_peak_{{ cell }}
        {%- endfor %}
    from peak_hours
    group by as_of_month_number, month_number

),

peak_sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        sum(
            {%- for cell in cells %}
            case when is_peak_{{ cell }} = 1 then coalesce(monthly_shape.{{ cell }}_kwh, 0) else 0 end
            {{- ' +' if not loop.last }}
            {%- endfor %}
        ) as peak_kwh,
        sum(
            {%- for cell in cells %}
            is_peak_{{ cell }} * coalesce(monthly_shape.{{ cell }}_minutes, 0)
            {{- ' +' if not loop.last }}
            {%- endfor %}
        ) as peak_minutes
    from as_of_customers
    inner join peak_months
        on as_of_customers.as_of_month_number = peak_months.as_of_month_number
    inner join monthly_shape
        on
            as_of_customers.customer_key = monthly_shape.customer_key
            and peak_months.month_number = monthly_shape.month_number
            and {{ is_visible_in('monthly_shape', 'as_of_customers.as_of_month_number') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

year_sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        sum(monthly_load.kwh) as kwh,
        sum(monthly_load.observed_minutes) as observed_minutes
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
        peak_sums.customer_key,
        peak_sums.as_of_month_number,
        {{ mean_power('peak_sums.peak_kwh', 'peak_sums.peak_minutes') }}
        / nullif({{ mean_power('year_sums.kwh', 'year_sums.observed_minutes') }}, 0) as peak_contribution
    from peak_sums
    inner join year_sums
        on
            peak_sums.customer_key = year_sums.customer_key
            and peak_sums.as_of_month_number = year_sums.as_of_month_number

)

select * from final
