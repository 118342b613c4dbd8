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

as_of_months as (

    select distinct as_of_month_number from as_of_customers

),

-- The mean power of all customers together, by month, kind of day and hour, as known in the as-of month.
system_months as (

    select
        as_of_months.as_of_month_number,
        monthly_shape.month_number
        {%- for cell in cells %},
        sum({{ mean_power('monthly_shape.' ~ cell ~ '_kwh', 'monthly_shape.' ~ cell ~ '_minutes') }}) as {{ cell }}_kw
        {%- endfor %}
    from as_of_months
    inner join monthly_shape
        on
            monthly_shape.month_number between
                as_of_months.as_of_month_number - 11 and as_of_months.as_of_month_number
            and {{ is_visible_in('monthly_shape', 'as_of_months.as_of_month_number') }}
    group by as_of_months.as_of_month_number, monthly_shape.month_number

),

system_cells as (
    {% for cell in cells %}
    select
        as_of_month_number,
        month_number,
        {{ loop.index0 }} as cell,
        -- Rounded, because the last bits of a sum depend on the order of its terms.
        {{ rounded(cell ~ '_kw', 6) }} as kw
    from system_months
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

ranked_cells as (

    select
        as_of_month_number,
        month_number,
        cell,
        cast(row_number() over (
            partition by as_of_month_number
            order by kw desc, month_number, cell
        ) as integer) as peak_rank
    from system_cells
    where kw > 0

),

final as (

    select
        as_of_month_number,
        month_number,
        cell,
        peak_rank
    from ranked_cells
    where peak_rank <= {{ var('system_peak_hours') }}

)

select * from final
