with weather as (

    select * from {{ ref('stg_metering__weather') }}

),

ticks as (

    select * from {{ ref('int_calendar_ticks') }}

),

final as (

    select
        weather.district,
        ticks.month_number,
        cast({{ mean_of_decimals('weather.temperature_c', 2) }} as double) as mean_temperature_c
    from weather
    inner join ticks
        on {{ tick_number('weather.observed_at') }} = ticks.tick_number
    group by weather.district, ticks.month_number

)

select * from final
