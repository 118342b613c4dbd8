with tariffs as (

    select * from {{ ref('stg_tariffs__tariffs') }}

),

final as (

    select
        tariff_id,
        version,
        tariff_json,
        valid_from_date,
        valid_to_date
    from tariffs

)

select * from final
