{{
    config(
        materialized='monthly_batches',
        months_from='int_reading_months',
    )
}}

-- depends_on: {{ ref('int_reading_months') }}

with slot_contributions as (

    select
        customer_key,
        case when day_type = 'workday' then 'workday' else 'rest_day' end as day_class,
        cast({{ integer_quotient('slot * ' ~ var('slot_minutes'), 60) }} as integer) as hour,
        month_number,
        visible_from_month_number,
        visible_until_month_number,
        sum(observed_minutes) as observed_minutes,
        sum(kwh) as kwh
    from {{ ref('int_interval_load_aggregates') }}
    where
        grain = 'slot'
        and interval_count > 0
        and month_number in {{ batch_months() }}
    group by 1, 2, 3, 4, 5, 6

),

version_starts as (

    {{ version_starts('slot_contributions') }}

),

months as (

    select
        version_starts.customer_key,
        version_starts.month_number,
        version_starts.visible_from_month_number
        {%- for day_class in ['workday', 'rest_day'] %}
        {%- for hour in range(24) %},
        cast(sum(case
            when slot_contributions.day_class = '{{ day_class }}' and slot_contributions.hour = {{ hour }}
                then slot_contributions.observed_minutes
        end) as integer) as {{ day_class }}_{{ '%02d' % hour }}_minutes,
        cast(sum(case
            when slot_contributions.day_class = '{{ day_class }}' and slot_contributions.hour = {{ hour }}
                then slot_contributions.kwh
        end) as decimal(18, 4)) as {{ day_class }}_{{ '%02d' % hour }}_kwh
        {%- endfor %}
        {%- endfor %}
    from version_starts
    inner join slot_contributions
        on
            version_starts.customer_key = slot_contributions.customer_key
            and version_starts.month_number = slot_contributions.month_number
            and {{ is_visible_in('slot_contributions', 'version_starts.visible_from_month_number') }}
    group by
        version_starts.customer_key,
        version_starts.month_number,
        version_starts.visible_from_month_number

),

final as (

    select
        months.*,
        lead(visible_from_month_number) over (
            partition by customer_key, month_number
            order by visible_from_month_number
        ) as visible_until_month_number
    from months

)

select * from final
