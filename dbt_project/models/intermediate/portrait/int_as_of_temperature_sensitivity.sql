{%- set grids = {'heating': portrait_heating_grid(), 'cooling': portrait_cooling_grid()} -%}

with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}
    where recency_rank <= {{ var('feature_months') }}

),

habits as (

    select * from {{ ref('int_monthly_habit_versions') }}

),

sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        cast(sum(habits.weather_days_count) as double) as days_count,
        cast(sum(habits.weather_kwh) as double) as kwh,
        cast(sum(habits.weather_squared_kwh) as double) as squared_kwh
        {%- for kind, grid in grids.items() %}
        {%- for degrees in grid %}
        {%- for measure in ['degrees', 'squared', 'kwh'] %}
        {%- set column = kind ~ '_' ~ degrees ~ '_' ~ measure %},
        cast(sum(habits.{{ column }}) as double) as {{ column }}
        {%- endfor %}
        {%- endfor %}
        {%- endfor %}
    from as_of_customers
    inner join habits
        on
            as_of_customers.customer_key = habits.customer_key
            and coalesce(as_of_customers.district, '') = coalesce(habits.district, '')
            and habits.month_number between
                as_of_customers.as_of_month_number - 11 and as_of_customers.as_of_month_number
            and {{ is_visible_in('habits', 'as_of_customers.as_of_month_number') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number
    having sum(habits.weather_days_count) >= 60

),

{% for kind, grid in grids.items() -%}
-- Sums of squares about the mean; the first row leaves this kind out of the model.
{{ kind }}_candidates as (

    select
        customer_key,
        as_of_month_number,
        cast(null as double) as balance_c,
        0e0 as degrees,
        1e0 as own_squares,
        0e0 as products
    from sums
    {%- for degrees in grid %}
    {%- set column = kind ~ '_' ~ degrees %}
    union all
    select
        customer_key,
        as_of_month_number,
        {{ degrees }}e0 as balance_c,
        {{ column }}_degrees as degrees,
        {{ column }}_squared - {{ column }}_degrees * {{ column }}_degrees / days_count as own_squares,
        {{ column }}_kwh - {{ column }}_degrees * kwh / days_count as products
    from sums
    -- A handful of days tells no slope.
    where {{ column }}_degrees >= 30
    {%- endfor %}

),

{% endfor -%}
-- Least squares of the daily energy on the degrees of heating and of cooling, for every pair of balance points.
solutions as (

    select
        sums.customer_key,
        sums.as_of_month_number,
        sums.days_count,
        heating.balance_c as heating_balance_c,
        cooling.balance_c as cooling_balance_c,
        sums.squared_kwh - sums.kwh * sums.kwh / sums.days_count as total_squares,
        heating.products as heating_products,
        cooling.products as cooling_products,
        heating.products * cooling.own_squares
        + cooling.products * heating.degrees * cooling.degrees / sums.days_count as heating_numerator,
        cooling.products * heating.own_squares
        + heating.products * heating.degrees * cooling.degrees / sums.days_count as cooling_numerator,
        heating.own_squares * cooling.own_squares
        - (heating.degrees * cooling.degrees / sums.days_count)
        * (heating.degrees * cooling.degrees / sums.days_count) as determinant
    from sums
    inner join heating_candidates as heating
        on
            sums.customer_key = heating.customer_key
            and sums.as_of_month_number = heating.as_of_month_number
    inner join cooling_candidates as cooling
        on
            sums.customer_key = cooling.customer_key
            and sums.as_of_month_number = cooling.as_of_month_number

),

slopes as (

    select
        *,
        heating_numerator / determinant as heating_kwh_per_degree,
        cooling_numerator / determinant as cooling_kwh_per_degree
    from solutions
    where
        determinant > 1e-6
        and total_squares > 0

),

scored as (

    select
        *,
        least(greatest(
            (heating_kwh_per_degree * heating_products + cooling_kwh_per_degree * cooling_products) / total_squares, 0
        ), 1) as explained_share,
        case when heating_balance_c is null then 0 else 1 end
        + case when cooling_balance_c is null then 0 else 1 end as slopes_count
    from slopes
    -- Who uses less when it is colder does not heat.
    where
        (heating_balance_c is null or heating_kwh_per_degree > 0)
        and (cooling_balance_c is null or cooling_kwh_per_degree > 0)

),

-- A slope must explain two hundredths of the variation for itself, so that noise is not taken for heating.
ranked as (

    select
        *,
        row_number() over (
            partition by customer_key, as_of_month_number
            order by
                {{ rounded('explained_share - 0.02 * slopes_count', 9) }} desc,
                slopes_count,
                heating_balance_c,
                cooling_balance_c
        ) as position
    from scored

),

final as (

    select
        customer_key,
        as_of_month_number,
        cast(days_count as integer) as days_count,
        heating_balance_c,
        cooling_balance_c,
        case when heating_balance_c is null then 0 else heating_kwh_per_degree end as heating_kwh_per_degree_day,
        case when cooling_balance_c is null then 0 else cooling_kwh_per_degree end as cooling_kwh_per_degree_day,
        explained_share
    from ranked
    where position = 1

)

select * from final
