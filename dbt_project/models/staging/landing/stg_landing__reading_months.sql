with source as (

    select * from {{ landing_source('reading_months') }}

),

final as (

    select distinct
        delivery_id,
        cast(read_month as date) as read_month
    from source

)

select * from final
