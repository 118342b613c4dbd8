{{ config(meta={
    'dagster': {'ref': {'name': 'int_interval_load_aggregates'}},
    'description':
        'No reading was lost between landing and months. The rows come from the footers of the landed files, ' ~
        'so this reads no values. Months keep what was counted of readings that are removed for their age.',
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
-- A table that was made anew since then holds nothing of what was removed, others hold all of it.
where counted.readings_count not between
    landed.readings_count and landed.readings_count + {{ var('removed_readings_count') }}
