-- The kind stands in the tariff's own document; a text search is enough, since no other field holds this word.
with tariffs as (

    select * from {{ ref('stg_tariffs__tariffs') }}

),

final as (

    select
        tariff_id,
        version
    from tariffs
    where tariff_json like '%energy_series%'

)

select * from final
