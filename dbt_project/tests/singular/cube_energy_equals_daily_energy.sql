{{ config(meta={
    'dagster': {'ref': {'name': 'customer_load_cube'}},
    'description':
        'Cube and daily sums come from the same pass: their energy is equal to the last decimal wherever all ' ~
        'intervals fit a slot.',
}) }}
with cube as (

    select
        customer_key,
        {{ month_number('month') }} as month_number,
        sum(kwh) as kwh
    from {{ ref('customer_load_cube') }}
    group by customer_key, {{ month_number('month') }}

),

days as (

    select
        customer_key,
        month_number,
        sum(kwh) as kwh
    from {{ ref('int_interval_load_aggregates') }}
    where
        grain = 'day'
        and visible_until_month_number is null
        and interval_minutes <= {{ var('slot_minutes') }}
        and interval_count > 0
    group by customer_key, month_number

)

select
    coalesce(cube.customer_key, days.customer_key) as customer_key,
    coalesce(cube.month_number, days.month_number) as month_number,
    cube.kwh as cube_kwh,
    days.kwh as daily_kwh
from cube
full outer join days
    on
        cube.customer_key = days.customer_key
        and cube.month_number = days.month_number
where coalesce(cube.kwh, -1) <> coalesce(days.kwh, -1)
