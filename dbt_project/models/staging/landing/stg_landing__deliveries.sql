with source as (

    select * from {{ landing_source('deliveries') }}

),

final as (

    select
        delivery_id,
        entity,
        source_file,
        cast(rows_in as bigint) as rows_in_count,
        cast(rows_loaded as bigint) as rows_loaded_count,
        cast(rows_duplicate as bigint) as rows_duplicate_count,
        cast(rows_quarantined as bigint) as rows_quarantined_count,
        known_at,
        landed_at
    from source

)

select * from final
