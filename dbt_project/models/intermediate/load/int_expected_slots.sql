with metered_customer_months as (

    select * from {{ ref('int_metered_customer_months') }}

),

calendar_slots as (

    select * from {{ ref('int_calendar_slots') }}

),

-- Nearly all customers are metered for the whole month: the calendar is added up once per distinct span.
spans as (

    select distinct
        month_number,
        first_metered_date,
        last_metered_date
    from metered_customer_months

),

final as (

    select
        calendar_slots.day_type,
        calendar_slots.slot,
        spans.month_number,
        cast(sum(calendar_slots.slot_length_minutes) as integer) as expected_minutes,
        spans.first_metered_date,
        spans.last_metered_date
    from spans
    inner join calendar_slots
        on
            spans.month_number = calendar_slots.month_number
            and calendar_slots.local_date between spans.first_metered_date and spans.last_metered_date
    group by
        calendar_slots.day_type,
        calendar_slots.slot,
        spans.month_number,
        spans.first_metered_date,
        spans.last_metered_date

)

select * from final
