with daily_temperature as (

    select * from {{ ref('int_daily_temperature') }}

),

final as (

    select
        district,
        local_date,
        cast(mean_temperature_c as double) as mean_temperature_c
    from daily_temperature

)

select * from final
