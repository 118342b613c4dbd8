{{
    config(
        materialized='monthly_batches',
        months_from='int_load_cube_months',
        month_column='month',
    )
}}

-- depends_on: {{ ref('int_load_cube_months') }}

with slot_contributions as (

    select * from {{ ref('int_interval_load_aggregates') }}
    where
        grain = 'slot'
        and visible_until_month_number is null
        and interval_count > 0
        and month_number in {{ batch_months() }}

),

metered_customer_months as (

    select * from {{ ref('int_metered_customer_months') }}

),

expected_slots as (

    select * from {{ ref('int_expected_slots') }}

),

cells as (

    select
        customer_key,
        day_type,
        slot,
        month_number,
        sum(kwh) as kwh,
        max(peak_kw) as peak_kw,
        sum(kvarh) as kvarh,
        sum(export_kwh) as export_kwh,
        sum(interval_count) as interval_count,
        sum(observed_minutes) as observed_minutes
    from slot_contributions
    group by customer_key, day_type, slot, month_number

),

final as (

    select
        cells.customer_key,
        cast({{ month_start('cells.month_number') }} as date) as month,
        cells.day_type,
        cells.slot,
        cast({{ var('slot_minutes') }} as smallint) as slot_minutes,
        cast(cells.kwh as decimal(18, 4)) as kwh,
        cast(cells.peak_kw as decimal(14, 4)) as peak_kw,
        cast(cells.kvarh as decimal(18, 4)) as kvarh,
        cast(cells.export_kwh as decimal(18, 4)) as export_kwh,
        cast(cells.interval_count as integer) as interval_count,
        cast(
            round(cast(expected_slots.expected_minutes as double) * cells.interval_count / cells.observed_minutes)
            as integer
        ) as expected_interval_count
    from cells
    left join metered_customer_months
        on
            cells.customer_key = metered_customer_months.customer_key
            and cells.month_number = metered_customer_months.month_number
    left join expected_slots
        on
            cells.month_number = expected_slots.month_number
            and cells.day_type = expected_slots.day_type
            and cells.slot = expected_slots.slot
            and metered_customer_months.first_metered_date = expected_slots.first_metered_date
            and metered_customer_months.last_metered_date = expected_slots.last_metered_date

)

select * from final
