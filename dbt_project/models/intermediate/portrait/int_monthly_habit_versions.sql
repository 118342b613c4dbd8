with daily_contributions as (

    select * from {{ ref('int_interval_load_aggregates') }}
    where grain = 'day'

),

temperatures as (

    select * from {{ ref('int_daily_temperature') }}

),

-- A customer whose district was corrected is looked at with the weather of both: each as-of month knows its own.
districts as (

    select distinct
        customer_key,
        district
    from {{ ref('stg_crm__customers') }}

),

version_starts as (

    {{ version_starts('daily_contributions') }}

),

days as (

    select
        version_starts.customer_key,
        version_starts.month_number,
        version_starts.visible_from_month_number,
        sum(daily_contributions.observed_minutes) as observed_minutes,
        cast(sum(daily_contributions.kwh) as decimal(12, 3)) as kwh,
        {{ largest_with_slot('daily_contributions.peak_kw', 'daily_contributions.peak_slot') }} as peak_kw_and_slot,
        count(daily_contributions.peak_slot) > 0 as has_peak_slot,
        daily_contributions.local_date
    from version_starts
    inner join daily_contributions
        on
            version_starts.customer_key = daily_contributions.customer_key
            and version_starts.month_number = daily_contributions.month_number
            and {{ is_visible_in('daily_contributions', 'version_starts.visible_from_month_number') }}
    where daily_contributions.interval_count > 0
    group by
        version_starts.customer_key,
        version_starts.month_number,
        version_starts.visible_from_month_number,
        daily_contributions.local_date

),

-- A day with gaps has neither a shape nor an energy that could be compared.
complete_days as (

    select
        *,
        {{ largest_of('peak_kw_and_slot') }} as peak_kw,
        {{ mean_power('kwh', 'observed_minutes') }} as mean_kw,
        case
            when has_peak_slot
                then {{ integer_quotient(slot_of_largest('peak_kw_and_slot') ~ ' * ' ~ var('slot_minutes'), 60) }}
        end as peak_hour
    from days
    where observed_minutes >= {{ var('complete_day_minutes') }}

),

described_days as (

    select
        complete_days.customer_key,
        districts.district,
        complete_days.month_number,
        complete_days.visible_from_month_number,
        complete_days.kwh,
        complete_days.peak_hour,
        complete_days.peak_kw,
        complete_days.mean_kw,
        case
            when complete_days.peak_hour is null then null
            when complete_days.kwh = 0 then 'zero'
            when complete_days.peak_kw < 1.5 * complete_days.mean_kw then 'flat'
            else concat(
                case when complete_days.peak_kw < 3 * complete_days.mean_kw then 'broad_' else 'sharp_' end,
                cast(4 * {{ integer_quotient('complete_days.peak_hour', 4) }} as {{ type_string() }})
            )
        end as day_word,
        temperatures.mean_temperature_c
        {%- for degrees in portrait_heating_grid() %},
        greatest({{ degrees }} - temperatures.mean_temperature_c, 0) as heating_{{ degrees }}
        {%- endfor %}
        {%- for degrees in portrait_cooling_grid() %},
        greatest(temperatures.mean_temperature_c - {{ degrees }}, 0) as cooling_{{ degrees }}
        {%- endfor %},
        -- Charging stands out where nobody heats or cools; without weather every day must do.
        coalesce(temperatures.mean_temperature_c between 8 and 24, true) as is_mild,
        (complete_days.peak_hour >= 20 or complete_days.peak_hour < 5)
        and complete_days.peak_kw - complete_days.mean_kw >= 2.5 as is_vehicle_like
    from complete_days
    left join districts
        on complete_days.customer_key = districts.customer_key
    left join temperatures
        on
            districts.district = temperatures.district
            and complete_days.local_date = temperatures.local_date

),

months as (

    select
        customer_key,
        district,
        month_number,
        visible_from_month_number
        {%- for word in portrait_day_words() %},
        cast(count(case when day_word = '{{ word }}' then 1 end) as integer) as {{ word }}_days_count
        {%- endfor %},
        cast(count(case when is_mild and peak_hour is not null then 1 end) as integer) as mild_days_count,
        cast(count(case when is_mild and is_vehicle_like then 1 end) as integer) as vehicle_like_days_count,
        cast(
            coalesce(sum(case when is_mild and is_vehicle_like then peak_kw end), 0) as decimal(18, 4)
        ) as vehicle_like_peak_kw,
        cast(count(mean_temperature_c) as integer) as weather_days_count,
        coalesce(sum(case when mean_temperature_c is not null then kwh end), 0) as weather_kwh,
        coalesce(
            sum(case when mean_temperature_c is not null then cast(kwh * kwh as decimal(38, 6)) end), 0
        ) as weather_squared_kwh
        {%- for kind, grid in [('heating', portrait_heating_grid()), ('cooling', portrait_cooling_grid())] %}
        {%- for degrees in grid %}
        {%- set column = kind ~ '_' ~ degrees %},
        coalesce(sum({{ column }}), 0) as {{ column }}_degrees,
        coalesce(sum(cast({{ column }} * {{ column }} as decimal(18, 4))), 0) as {{ column }}_squared,
        coalesce(sum(cast({{ column }} * kwh as decimal(18, 5))), 0) as {{ column }}_kwh
        {%- endfor %}
        {%- endfor %}
    from described_days
    group by customer_key, district, month_number, visible_from_month_number

),

final as (

    select
        months.*,
        lead(visible_from_month_number) over (
            partition by customer_key, district, month_number
            order by visible_from_month_number
        ) as visible_until_month_number
    from months

)

select * from final
