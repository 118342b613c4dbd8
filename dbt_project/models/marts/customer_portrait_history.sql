with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}
    where recency_rank <= {{ var('feature_months') }}

),

as_of_months as (

    select * from {{ ref('int_as_of_months') }}

),

load as (

    select * from {{ ref('int_as_of_load') }}

),

shape as (

    select * from {{ ref('int_as_of_shape') }}

),

habits as (

    select * from {{ ref('int_as_of_habits') }}

),

temperature as (

    select * from {{ ref('int_as_of_temperature_sensitivity') }}

),

billing as (

    select * from {{ ref('int_as_of_billing') }}

),

service as (

    select * from {{ ref('int_as_of_service') }}

),

behaviour as (

    select * from {{ ref('int_as_of_behaviour') }}

),

tariffs as (

    select * from {{ ref('int_as_of_tariffs') }}

),

{% for alias, view in {
    'segments': 'stg_predictions__segments',
    'recommendations': 'stg_predictions__tariff_recommendations',
    'scores': 'stg_predictions__credit_scores',
}.items() -%}
-- What was predicted last, in this month or the two before it: the date in the row says when.
{{ alias }} as (

    select
        as_of_customers.as_of_month_number as told_in_month_number,
        predictions.*,
        {{ month_end('predictions.as_of_month_number') }} as month_end_date
    from as_of_customers
    inner join (
        select
            *,
            lead(as_of_month_number) over (
                partition by customer_key
                order by as_of_month_number
            ) as next_month_number
        from {{ ref(view) }}
    ) as predictions
        on
            as_of_customers.customer_key = predictions.customer_key
            and as_of_customers.as_of_month_number between
                predictions.as_of_month_number and predictions.as_of_month_number + 2
            and (
                predictions.next_month_number is null
                or predictions.next_month_number > as_of_customers.as_of_month_number
            )

),

{% endfor -%}
final as (

    select
        as_of_customers.customer_key,
        cast(as_of_customers.as_of_month as date) as as_of_month,
        as_of_customers.customer_class,
        as_of_customers.district,
        as_of_customers.voltage_level,
        as_of_customers.supply_route,
        '{{ var("currency") }}' as currency,
        {% call portrait_section("identity", "as_of_customers.month_end_date", "'customers'") %}
        case
            when as_of_customers.customer_class is not null and as_of_customers.district is not null then 'high'
            when as_of_customers.customer_class is not null then 'medium'
            else 'none'
        end
        {% endcall %},
        tariffs.tariff_id,
        tariffs.billing_basis,
        tariffs.contracted_kw,
        as_of_customers.contract_capacity_kva,
        cast(as_of_customers.tenure_months as integer) as tenure_months,
        as_of_customers.registered_date,
        as_of_customers.closed_date,
        {% call portrait_section("contract", "as_of_customers.month_end_date", "case when tariffs.customer_key is not null then 'customers, tariff_enrolments' else 'customers' end") %}
        case
            when tariffs.tariff_id is not null and as_of_customers.registered_date is not null then 'high'
            when tariffs.tariff_id is not null then 'medium'
            when as_of_customers.customer_class is not null or as_of_customers.registered_date is not null then 'low'
            else 'none'
        end
        {% endcall %},
        load.annual_kwh,
        load.mean_daily_kwh,
        load.peak_kw,
        load.load_factor,
        load.coverage_pct,
        load.observed_days_count,
        load.last_reading_date,
        {% call portrait_section("load", "load.last_reading_date", "'meter_readings'") %}
        case
            when load.annual_kwh is null then 'none'
            when load.coverage_pct >= 95 and load.observed_months_count >= 12 then 'high'
            when load.coverage_pct >= 80 and load.observed_months_count >= 6 then 'medium'
            else 'low'
        end
        {% endcall %},
        load.kwh_change_yoy_pct,
        case
            when load.kwh_change_yoy_pct >= 10 then 'rising'
            when load.kwh_change_yoy_pct <= -10 then 'falling'
            when load.kwh_change_yoy_pct is not null then 'steady'
        end as consumption_trend,
        {% call portrait_section("trend", "load.last_reading_date", "'meter_readings'") %}
        case
            when load.kwh_change_yoy_pct is null then 'none'
            when load.coverage_pct >= 95 then 'high'
            when load.coverage_pct >= 80 then 'medium'
            else 'low'
        end
        {% endcall %},
        shape.base_share,
        load.weekend_ratio,
        load.daily_kwh_cv,
        case when habits.shaped_days_count >= 30 then habits.day_shape_entropy_bits end as day_shape_entropy_bits,
        case when habits.shaped_days_count >= 30 then habits.usual_day_shape end as usual_day_shape,
        case when habits.shaped_days_count >= 30 then habits.usual_day_shape_share end as usual_day_shape_share,
        {% call portrait_section("shape", "load.last_reading_date", "'meter_readings'") %}
        case
            when habits.shaped_days_count >= 300 then 'high'
            when habits.shaped_days_count >= 180 then 'medium'
            when habits.shaped_days_count >= 30 then 'low'
            when coalesce(shape.base_share, load.weekend_ratio, load.daily_kwh_cv) is not null then 'low'
            else 'none'
        end
        {% endcall %},
        load.summer_ratio,
        load.winter_ratio,
        {% call portrait_section("season", "load.last_reading_date", "'meter_readings'") %}
        case
            when load.summer_ratio is null and load.winter_ratio is null then 'none'
            when load.summer_ratio is not null and load.winter_ratio is not null and load.observed_months_count >= 12 then 'high'
            when load.summer_ratio is not null and load.winter_ratio is not null then 'medium'
            else 'low'
        end
        {% endcall %},
        temperature.heating_balance_c,
        temperature.heating_kwh_per_degree_day,
        temperature.cooling_balance_c,
        temperature.cooling_kwh_per_degree_day,
        temperature.explained_share as temperature_explained_share,
        {% call portrait_section("temperature", "load.last_reading_date", "'meter_readings, weather'") %}
        case
            when temperature.customer_key is null then 'none'
            when temperature.explained_share >= 0.5 and temperature.days_count >= 300 then 'high'
            when temperature.explained_share >= 0.25 and temperature.days_count >= 180 then 'medium'
            else 'low'
        end
        {% endcall %},
        habits.night_kwh_share,
        habits.morning_kwh_share,
        habits.midday_kwh_share,
        habits.evening_kwh_share,
        {% call portrait_section("time_of_use", "load.last_reading_date", "'meter_readings'") %}
        case
            when habits.night_kwh_share is null then 'none'
            when load.observed_months_count >= 12 and load.coverage_pct >= 95 then 'high'
            when load.observed_months_count >= 6 and load.coverage_pct >= 80 then 'medium'
            else 'low'
        end
        {% endcall %},
        shape.peak_hour,
        case when habits.shaped_days_count >= 30 then habits.evening_peak_days_share end as evening_peak_days_share,
        case when habits.shaped_days_count >= 30 then habits.sharp_peak_days_share end as sharp_peak_days_share,
        {{ percentage('load.peak_kw', 'as_of_customers.contract_capacity_kva') }} as capacity_utilisation_pct,
        {% call portrait_section("peak", "load.last_reading_date", "'meter_readings'") %}
        case
            when habits.shaped_days_count >= 300 then 'high'
            when habits.shaped_days_count >= 180 then 'medium'
            when coalesce(shape.peak_hour, load.peak_kw) is not null then 'low'
            else 'none'
        end
        {% endcall %},
        case
            when habits.export_kwh > 0 then true
            when habits.noon_ratio is not null then habits.noon_ratio <= 0.6
        end as solar_is_suspected,
        habits.export_kwh,
        habits.noon_ratio,
        {% call portrait_section("solar", "load.last_reading_date", "case when habits.export_kwh > 0 then 'meter_readings: export' when habits.noon_ratio is not null then 'meter_readings: noon dip' end") %}
        case
            when habits.export_kwh > 0 then 'high'
            when habits.noon_ratio is null then 'none'
            when habits.noon_ratio <= 0.5 or (habits.noon_ratio > 0.7 and load.observed_months_count >= 12) then 'medium'
            else 'low'
        end
        {% endcall %},
        case
            when as_of_customers.customer_class = 'residential' and habits.mild_days_count >= 30
                then habits.vehicle_like_days_share >= 0.15
        end as vehicle_is_suspected,
        case
            when as_of_customers.customer_class = 'residential' and habits.mild_days_count >= 30
                then habits.vehicle_like_days_share
        end as vehicle_like_days_share,
        case
            when as_of_customers.customer_class = 'residential' and habits.mild_days_count >= 30
                then habits.vehicle_like_peak_kw
        end as vehicle_charge_kw,
        {% call portrait_section("vehicle", "load.last_reading_date", "'meter_readings'") %}
        case
            when coalesce(as_of_customers.customer_class, '') <> 'residential' then 'none'
            when coalesce(habits.mild_days_count, 0) < 30 then 'none'
            when habits.vehicle_like_days_share between 0.08 and 0.22 or habits.mild_days_count < 60 then 'low'
            when habits.mild_days_count >= 120 and habits.weather_days_count >= 120 then 'high'
            else 'medium'
        end
        {% endcall %},
        cast(billing.billed_amount_12m_amount as decimal(18, 2)) as billed_amount_12m_amount,
        cast(billing.bills_12m_count as integer) as bills_12m_count,
        -- Where no payment was delivered, every bill would look unpaid.
        case when as_of_months.has_payments then cast(billing.unpaid_amount as decimal(18, 2)) end as unpaid_amount,
        case when as_of_months.has_payments then cast(billing.late_bills_12m_count as integer) end as late_bills_12m_count,
        case when as_of_months.has_payments then billing.mean_days_late_12m_days end as mean_days_late_12m_days,
        behaviour.automatic_payment_share_12m,
        segments.payment_behaviour,
        behaviour.digital_payment_share_12m,
        {% call portrait_section("payment", "as_of_customers.month_end_date", "case when as_of_months.has_payments then 'bills, payments' else 'bills' end") %}
        case
            when coalesce(billing.bills_12m_count, 0) = 0 then 'none'
            when not as_of_months.has_payments then 'low'
            when billing.bills_12m_count >= 10 then 'high'
            when billing.bills_12m_count >= 4 then 'medium'
            else 'low'
        end
        {% endcall %},
        cast(service.contacts_12m_count as integer) as contacts_12m_count,
        cast(service.billing_contacts_12m_count as integer) as billing_contacts_12m_count,
        cast(service.mean_satisfaction_12m as double) as mean_satisfaction_12m,
        segments.channel_preference,
        case when as_of_months.has_contacts then service.has_open_dispute end as has_open_dispute,
        {% call portrait_section("service", "as_of_customers.month_end_date", "'service_contacts'") %}
        case
            when not as_of_months.has_contacts then 'none'
            when service.mean_satisfaction_12m is not null or service.contacts_12m_count = 0 then 'high'
            else 'medium'
        end
        {% endcall %},
        cast(service.programmes_count as integer) as programmes_count,
        cast(behaviour.programmes_left_12m_count as integer) as programmes_left_12m_count,
        {% call portrait_section("programmes", "as_of_customers.month_end_date", "'programme_enrolments'") %}
        case
            when as_of_months.has_programmes then 'high'
            else 'none'
        end
        {% endcall %},
        segments.segment_id,
        segments.segment_name,
        segments.segment_name_zh,
        segments.segment_confidence,
        segments.runner_up_segment_id,
        {% call portrait_section("segmentation", "segments.month_end_date", "concat('segmentation ', segments.release)") %}
        case
            when coalesce(segments.segment_id, 'unknown') = 'unknown' then 'none'
            -- Nothing used, or one segment for the whole group: there is no other segment to take it for.
            when coalesce(segments.segment_confidence, 1) >= 0.3 then 'high'
            when segments.segment_confidence >= 0.1 then 'medium'
            else 'low'
        end
        {% endcall %},
        segments.value_tier,
        segments.loyalty_tier,
        {{ customer_tier('segments.value_tier', 'segments.loyalty_tier', 'coalesce(scores.rating_in_force, scores.credit_rating)') }}
            as customer_tier,
        {% call portrait_section("value", "segments.month_end_date", "concat('segmentation ', segments.release)") %}
        case
            when
                coalesce(segments.value_tier, 'unknown') = 'unknown'
                and coalesce(segments.loyalty_tier, 'unknown') = 'unknown'
                then 'none'
            when coalesce(segments.value_tier, 'unknown') = 'unknown' then 'low'
            when billing.bills_12m_count >= 10 then 'high'
            when billing.bills_12m_count >= 4 then 'medium'
            else 'low'
        end
        {% endcall %},
        segments.life_cycle_stage,
        segments.life_cycle_stage_in_force,
        {% call portrait_section("life_cycle", "segments.month_end_date", "concat('segmentation ', segments.release)") %}
        case
            when coalesce(segments.life_cycle_stage, 'unknown') = 'unknown' then 'none'
            when load.kwh_change_yoy_pct is not null and load.coverage_pct >= 95 then 'high'
            when load.kwh_change_yoy_pct is not null or segments.life_cycle_stage = 'new' then 'medium'
            else 'low'
        end
        {% endcall %},
        segments.leaving_probability,
        segments.leaving_reason_code,
        segments.potential_probability,
        segments.potential_reason_code,
        {% call portrait_section("leaving", "segments.month_end_date", "concat('segmentation ', segments.release)") %}
        case
            when segments.leaving_probability is not null and segments.potential_probability is not null then 'medium'
            when coalesce(segments.leaving_probability, segments.potential_probability) is not null then 'low'
            else 'none'
        end
        {% endcall %},
        recommendations.recommended_tariff_id,
        recommendations.is_switch_recommended,
        recommendations.expected_saving_amount,
        recommendations.saving_lower_amount,
        recommendations.saving_upper_amount,
        recommendations.saving_probability,
        {% call portrait_section("advice", "recommendations.month_end_date", "concat('tariff_matching ', recommendations.release)") %}
        case
            when recommendations.recommended_tariff_id is null or recommendations.load_basis = 'none' then 'none'
            when recommendations.load_basis = 'readings' and recommendations.price_is_verified then 'high'
            when recommendations.load_basis = 'readings' then 'medium'
            else 'low'
        end
        {% endcall %},
        coalesce(scores.rating_in_force, scores.credit_rating) as credit_rating,
        scores.in_force_since_month,
        scores.default_probability,
        scores.credit_points,
        scores.reason_1_code as rating_reason_1_code,
        {% call portrait_section("rating", "scores.month_end_date", "concat('credit_risk ', scores.release)") %}
        case
            when scores.credit_rating is null then 'none'
            when billing.bills_12m_count >= 10 then 'high'
            when billing.bills_12m_count >= 4 then 'medium'
            else 'low'
        end
        {% endcall %}
    from as_of_customers
    inner join as_of_months
        on as_of_customers.as_of_month_number = as_of_months.as_of_month_number
    left join load
        on
            as_of_customers.customer_key = load.customer_key
            and as_of_customers.as_of_month_number = load.as_of_month_number
    left join shape
        on
            as_of_customers.customer_key = shape.customer_key
            and as_of_customers.as_of_month_number = shape.as_of_month_number
    left join habits
        on
            as_of_customers.customer_key = habits.customer_key
            and as_of_customers.as_of_month_number = habits.as_of_month_number
    left join temperature
        on
            as_of_customers.customer_key = temperature.customer_key
            and as_of_customers.as_of_month_number = temperature.as_of_month_number
    left join billing
        on
            as_of_customers.customer_key = billing.customer_key
            and as_of_customers.as_of_month_number = billing.as_of_month_number
    left join service
        on
            as_of_customers.customer_key = service.customer_key
            and as_of_customers.as_of_month_number = service.as_of_month_number
    left join behaviour
        on
            as_of_customers.customer_key = behaviour.customer_key
            and as_of_customers.as_of_month_number = behaviour.as_of_month_number
    left join tariffs
        on
            as_of_customers.customer_key = tariffs.customer_key
            and as_of_customers.as_of_month_number = tariffs.as_of_month_number
    left join segments
        on
            as_of_customers.customer_key = segments.customer_key
            and as_of_customers.as_of_month_number = segments.told_in_month_number
    left join recommendations
        on
            as_of_customers.customer_key = recommendations.customer_key
            and as_of_customers.as_of_month_number = recommendations.told_in_month_number
    left join scores
        on
            as_of_customers.customer_key = scores.customer_key
            and as_of_customers.as_of_month_number = scores.told_in_month_number

)

select * from final
