{{
    config(
        materialized='monthly_batches',
        months_from='int_reading_months',
        pre_hook='{{ keep_written_join_order() }}',
        post_hook='{{ choose_join_order() }}',
    )
}}

{%- set has_parallel_meters = row_count(ref('int_parallel_meter_customers')) > 0 %}

-- depends_on: {{ ref('int_reading_months') }}
-- depends_on: {{ ref('int_parallel_meter_customers') }}

with ticks as (

    select * from {{ ref('int_calendar_ticks') }}

),

-- Deliveries have few instants of knowledge: the zone arithmetic is done once for each, not once per reading.
known_instants as (

    select
        known_at,
        {{ known_month_number('known_at') }} as known_month_number
    from (
        select distinct known_at from {{ ref('stg_metering__readings') }}
        where read_month in {{ batch_read_months() }}
    ) as instants

),

-- Few keys: only these need the order of their versions. Every other reading is the only one of its key.
corrected_keys as (

    select distinct
        meter_id,
        read_at
    from {{ ref('stg_metering__readings') }}
    where
        revision > 0
        and read_month in {{ batch_read_months() }}

),

uncorrected_readings as (

    select
        readings.customer_key,
        readings.interval_minutes,
        known_instants.known_month_number,
        cast(null as integer) as superseded_month_number,
        readings.kwh,
        readings.kvarh,
        readings.export_kwh,
        readings.read_at
    from {{ ref('stg_metering__readings') }} as readings
    inner join known_instants
        on readings.known_at = known_instants.known_at
    left join corrected_keys
        on
            readings.meter_id = corrected_keys.meter_id
            and readings.read_at = corrected_keys.read_at
    where
        readings.read_month in {{ batch_read_months() }}
        and corrected_keys.meter_id is null

),

corrected_readings as (

    select
        readings.customer_key,
        readings.interval_minutes,
        known_instants.known_month_number,
        lead(known_instants.known_month_number) over (
            partition by readings.meter_id, readings.read_at
            order by readings.known_at, readings.revision
        ) as superseded_month_number,
        readings.kwh,
        readings.kvarh,
        readings.export_kwh,
        readings.read_at
    from {{ ref('stg_metering__readings') }} as readings
    inner join corrected_keys
        on
            readings.meter_id = corrected_keys.meter_id
            and readings.read_at = corrected_keys.read_at
    inner join known_instants
        on readings.known_at = known_instants.known_at
    where readings.read_month in {{ batch_read_months() }}

),

readings as {{ not_materialized() }} (

    select * from uncorrected_readings
    union all
    select * from corrected_readings

),

intervals as {{ not_materialized() }} (

    select
        readings.customer_key,
        ticks.day_type,
        case when readings.interval_minutes <= {{ var('slot_minutes') }} then ticks.slot end as slot,
        ticks.month_number,
        readings.interval_minutes,
        greatest(ticks.month_number, readings.known_month_number) as visible_from_month_number,
        case
            when readings.superseded_month_number is not null
                then greatest(ticks.month_number, readings.superseded_month_number)
        end as visible_until_month_number,
        readings.kwh,
        readings.kvarh,
        readings.export_kwh,
        ticks.local_date,
        readings.read_at
    from readings
    inner join ticks
        on {{ tick_number('readings.read_at') }} = ticks.tick_number
    where ticks.month_number in {{ batch_months() }}

),

{% if has_parallel_meters %}

-- Meters that run side by side are added up instant by instant, so that the peak is that of the customer.
customer_intervals as (

    select
        intervals.customer_key,
        intervals.day_type,
        intervals.slot,
        intervals.month_number,
        intervals.interval_minutes,
        intervals.visible_from_month_number,
        intervals.visible_until_month_number,
        1 as readings_count,
        intervals.kwh,
        intervals.kvarh,
        intervals.export_kwh,
        intervals.local_date
    from intervals
    left join {{ ref('int_parallel_meter_customers') }} as parallel_meter_customers
        on intervals.customer_key = parallel_meter_customers.customer_key
    where parallel_meter_customers.customer_key is null

    union all

    select
        intervals.customer_key,
        intervals.day_type,
        intervals.slot,
        intervals.month_number,
        intervals.interval_minutes,
        intervals.visible_from_month_number,
        intervals.visible_until_month_number,
        count(*) as readings_count,
        sum(intervals.kwh) as kwh,
        sum(intervals.kvarh) as kvarh,
        sum(intervals.export_kwh) as export_kwh,
        intervals.local_date
    from intervals
    inner join {{ ref('int_parallel_meter_customers') }} as parallel_meter_customers
        on intervals.customer_key = parallel_meter_customers.customer_key
    group by
        intervals.customer_key,
        intervals.day_type,
        intervals.slot,
        intervals.month_number,
        intervals.interval_minutes,
        intervals.visible_from_month_number,
        intervals.visible_until_month_number,
        intervals.local_date,
        intervals.read_at

),

{% else %}

customer_intervals as {{ not_materialized() }} (

    select * from intervals

),

{% endif %}

-- One pass over the readings fills both grains.
sums as (

    select
        customer_key,
        day_type,
        slot,
        grouping(local_date) as is_slot,
        month_number,
        visible_from_month_number,
        visible_until_month_number,
        interval_minutes,
        {{ 'sum(readings_count)' if has_parallel_meters else 'count(*)' }} as readings_count,
        count(kwh) as interval_count,
        sum(kwh) as kwh,
        sum(kvarh) as kvarh,
        sum(export_kwh) as export_kwh,
        {{ largest_with_slot('kwh', 'slot') }} as largest_kwh_and_slot,
        local_date
    from customer_intervals
    group by grouping sets (
        (
            customer_key, month_number, day_type, local_date,
            visible_from_month_number, visible_until_month_number, interval_minutes
        ),
        (
            customer_key, month_number, day_type, slot,
            visible_from_month_number, visible_until_month_number, interval_minutes
        )
    )

),

final as (

    select
        customer_key,
        case when is_slot = 1 then 'slot' else 'day' end as grain,
        day_type,
        slot,
        month_number,
        visible_from_month_number,
        visible_until_month_number,
        interval_minutes,
        cast(readings_count as bigint) as readings_count,
        cast(interval_count as integer) as interval_count,
        cast(interval_count * interval_minutes as integer) as observed_minutes,
        cast(kwh as decimal(18, 4)) as kwh,
        cast(kvarh as decimal(18, 4)) as kvarh,
        cast(export_kwh as decimal(18, 4)) as export_kwh,
        -- A reading of many hours says nothing about the peak within them.
        cast(
            case
                when interval_minutes <= 60 then {{ largest_of('largest_kwh_and_slot') }} * 60 / interval_minutes
            end as decimal(14, 4)
        ) as peak_kw,
        case
            when is_slot = 0 and interval_minutes <= {{ var('slot_minutes') }}
                then {{ slot_of_largest('largest_kwh_and_slot') }}
        end as peak_slot,
        local_date
    from sums
    where
        is_slot = 0
        or slot is not null

)

select * from final
