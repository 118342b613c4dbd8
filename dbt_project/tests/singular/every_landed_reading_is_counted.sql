{{ config(meta={
    'dagster': {'ref': {'name': 'int_interval_load_aggregates'}},
    'description':
        'No reading was lost between landing and months. The rows come from the footers of the landed files, ' ~
        'so this reads no values.',
}) }}
with landed as (

    select count(*) as readings_count from {{ ref('stg_metering__readings') }}

),

counted as (

    select coalesce(sum(readings_count), 0) as readings_count from {{ ref('int_interval_load_aggregates') }}
    where grain = 'day'

)

select
    landed.readings_count as landed_readings_count,
    counted.readings_count as counted_readings_count
from landed
cross join counted
where landed.readings_count <> counted.readings_count
