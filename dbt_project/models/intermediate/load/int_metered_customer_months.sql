with meters as (

    select * from {{ ref('stg_metering__meters') }}
    where is_latest_version

),

calendar_slots as (

    select * from {{ ref('int_calendar_slots') }}

),

calendar_months as (

    select
        month_number,
        min(local_date) as first_date,
        max(local_date) as last_date
    from calendar_slots
    where month_number in (select month_number from {{ ref('int_reading_months') }})
    group by month_number

),

final as (

    select
        meters.customer_key,
        calendar_months.month_number,
        min(greatest(meters.installed_date, calendar_months.first_date)) as first_metered_date,
        max(least(meters.removed_date, calendar_months.last_date)) as last_metered_date
    from meters
    inner join calendar_months
        on
            coalesce(meters.installed_date <= calendar_months.last_date, true)
            and coalesce(meters.removed_date >= calendar_months.first_date, true)
    group by meters.customer_key, calendar_months.month_number

)

select * from final
