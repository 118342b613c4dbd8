with slot_contributions as (

    select * from {{ ref('int_interval_load_aggregates') }}
    where
        grain = 'slot'
        and visible_until_month_number is null
        and interval_count > 0

),

last_month as (

    select max(month_number) as month_number from {{ ref('int_reading_months') }}
    where month_number in (select month_number from {{ ref('int_monthly_load_versions') }})

),

seasons as (

    select distinct
        month_number,
        case
            when extract(month from {{ month_start('month_number') }}) in (12, 1, 2) then 'winter'
            when extract(month from {{ month_start('month_number') }}) in (3, 4, 5) then 'spring'
            when extract(month from {{ month_start('month_number') }}) in (6, 7, 8) then 'summer'
            else 'autumn'
        end as season
    from {{ ref('int_reading_months') }}

),

hours as (

    select
        slot_contributions.customer_key,
        seasons.season,
        slot_contributions.day_type,
        {{ integer_quotient('slot_contributions.slot * ' ~ var('slot_minutes'), 60) }} as hour,
        {{ mean_power('sum(slot_contributions.kwh)', 'sum(slot_contributions.observed_minutes)') }} as mean_kw
    from slot_contributions
    inner join last_month
        on slot_contributions.month_number > last_month.month_number - 12
    inner join seasons
        on slot_contributions.month_number = seasons.month_number
    group by 1, 2, 3, 4

),

days as (

    select
        customer_key,
        season,
        day_type,
        -- Decimals: a mean of doubles would depend on the order of the rows.
        cast({{ mean_of_decimals(double_as_decimal('mean_kw', 18, 9), 9) }} as double) as mean_kw
    from hours
    group by customer_key, season, day_type

),

final as (

    select
        hours.customer_key,
        hours.season,
        hours.day_type,
        cast(hours.hour as smallint) as hour,
        cast(hours.mean_kw as double) as mean_kw,
        cast(hours.mean_kw / nullif(days.mean_kw, 0) as double) as shape_ratio
    from hours
    inner join days
        on
            hours.customer_key = days.customer_key
            and hours.season = days.season
            and hours.day_type = days.day_type

)

select * from final
