with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}
    where recency_rank <= {{ var('feature_months') }}

),

monthly_load as (

    select * from {{ ref('int_monthly_load_versions') }}

),

sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        {{ season_of('monthly_load.month_number') }} as season,
        sum(monthly_load.observed_minutes) as observed_minutes,
        sum(monthly_load.kwh) as kwh,
        sum(monthly_load.workday_minutes) as workday_minutes,
        sum(monthly_load.workday_kwh) as workday_kwh
    from as_of_customers
    inner join monthly_load
        on
            as_of_customers.customer_key = monthly_load.customer_key
            and monthly_load.month_number between
                as_of_customers.as_of_month_number - 11 and as_of_customers.as_of_month_number
            and {{ is_visible_in('monthly_load', 'as_of_customers.as_of_month_number') }}
    group by
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        {{ season_of('monthly_load.month_number') }}

),

-- A season of a few days would say more about those days than about the season.
power as (

    select
        customer_key,
        as_of_month_number,
        season,
        {{ mean_power('kwh', 'observed_minutes') }} as day_kw,
        {{ mean_power('workday_kwh', 'workday_minutes') }} as workday_kw,
        {{ mean_power('(kwh - workday_kwh)', '(observed_minutes - workday_minutes)') }} as rest_day_kw
    from sums
    where observed_minutes >= 1440 * {{ var('season_observed_days') }}

),

seasons as (

    select
        customer_key,
        as_of_month_number
        {%- for season in ['mild', 'summer', 'winter'] %},
        max(case when season = '{{ season }}' then day_kw end) as {{ season }}_kw,
        max(case when season = '{{ season }}' then workday_kw end) as {{ season }}_workday_kw,
        max(case when season = '{{ season }}' then rest_day_kw end) as {{ season }}_rest_day_kw
        {%- endfor %}
    from power
    group by customer_key, as_of_month_number

),

final as (

    select
        customer_key,
        as_of_month_number,
        {{ relative_difference('summer_kw', 'mild_kw') }} as summer_level_shift,
        {{ relative_difference('winter_kw', 'mild_kw') }} as winter_level_shift
        {%- for season in ['mild', 'summer', 'winter'] %},
        {{ relative_difference(season ~ '_rest_day_kw', season ~ '_workday_kw') }} as {{ season }}_rest_day_shift
        {%- endfor %}
    from seasons

)

select * from final
