with reading_months as (

    select * from {{ ref('stg_landing__reading_months') }}

),

holidays as (

    select * from {{ ref('holidays') }}
    where jurisdiction = '{{ var("jurisdiction") }}'

),

-- A margin on both sides makes every local month that reaches into these UTC months complete.
bounds as (

    select
        {{ tick_number(add_days('cast(min(read_month) as ' ~ type_timestamp() ~ ')', -62)) }} as first_tick_number,
        {{ tick_number(add_days('cast(max(read_month) as ' ~ type_timestamp() ~ ')', 93)) }} as last_tick_number
    from reading_months

),

ticks as (

    select series.tick_number
    from {{ integer_series('(select first_tick_number from bounds)', '(select last_tick_number from bounds)', 'tick_number') }} as series

),

local_times as (

    select
        tick_number,
        {{ tick_start('tick_number') }} as tick_at,
        {{ local_timestamp(tick_start('tick_number')) }} as local_time
    from ticks

),

local_days as (

    select
        tick_number,
        tick_at,
        cast(local_time as date) as local_date,
        {{ month_number('local_time') }} as month_number,
        cast(extract(hour from local_time) * 60 + extract(minute from local_time) as integer) as local_minute
    from local_times

),

final as (

    select
        local_days.tick_number,
        case
            when holidays.is_working_day then 'workday'
            when not holidays.is_working_day then 'holiday'
            when {{ iso_weekday('local_days.local_date') }} >= 6 then 'weekend'
            else 'workday'
        end as day_type,
        cast({{ integer_quotient('local_days.local_minute', var('slot_minutes')) }} as smallint) as slot,
        local_days.month_number,
        local_days.local_date,
        cast({{ date_trunc('month', 'local_days.tick_at') }} as date) as utc_month,
        local_days.tick_at
    from local_days
    left join holidays
        on local_days.local_date = holidays.holiday_date

)

select * from final
