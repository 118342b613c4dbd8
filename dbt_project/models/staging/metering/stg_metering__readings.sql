with source as (

    select * from {{ landing_source_by_month('meter_readings') }}

),

final as (

    select
        meter_id,
        customer_key,
        delivery_id,
        quality,
        interval_minutes,
        case when quality <> 'missing' then kwh end as kwh,
        case when quality <> 'missing' then kvarh end as kvarh,
        case when quality <> 'missing' then export_kwh end as export_kwh,
        revision,
        read_month,
        read_at,
        known_at
    from source

)

select * from final
