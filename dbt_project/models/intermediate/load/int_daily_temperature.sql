with weather as (

    select * from {{ ref('stg_metering__weather') }}

),

ticks as (

    select * from {{ ref('int_calendar_ticks') }}

),

final as (

    select
        weather.district,
        {{ double_as_decimal(mean_of_decimals('weather.temperature_c', 2), 6, 2) }} as mean_temperature_c,
        ticks.local_date
    from weather
    inner join ticks
        on {{ tick_number('weather.observed_at') }} = ticks.tick_number
    group by weather.district, ticks.local_date

)

select * from final
