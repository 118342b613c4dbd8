with ticks as (

    select * from {{ ref('int_calendar_ticks') }}

),

final as (

    select
        day_type,
        slot,
        month_number,
        cast(15 * count(*) as integer) as slot_length_minutes,
        local_date
    from ticks
    group by day_type, slot, month_number, local_date

)

select * from final
