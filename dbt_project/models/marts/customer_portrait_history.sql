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
        as_of_customers.month_end_date as identity_as_of_date,
        case when as_of_customers.customer_class is not null then 'customers' end as identity_source,
        case
            when as_of_customers.customer_class is not null and as_of_customers.district is not null then 'high'
            when as_of_customers.customer_class is not null then 'medium'
            else 'none'
        end as identity_confidence,
        tariffs.tariff_id,
        tariffs.billing_basis,
        tariffs.contracted_kw,
        as_of_customers.contract_capacity_kva,
        cast(as_of_customers.tenure_months as integer) as tenure_months,
        as_of_customers.registered_date,
        as_of_customers.closed_date,
        cast(as_of_customers.month_end_date as date) as contract_as_of_date,
        case when tariffs.customer_key is not null then 'customers, tariff_enrolments' else 'customers' end as contract_source,
        case
            when tariffs.tariff_id is not null and as_of_customers.registered_date is not null then 'high'
            when tariffs.tariff_id is not null then 'medium'
            when as_of_customers.customer_class is not null then 'low'
            else 'none'
        end as contract_confidence,
        load.annual_kwh,
        load.mean_daily_kwh,
        load.peak_kw,
        load.load_factor,
        load.coverage_pct,
        load.observed_days_count,
        load.last_reading_date,
        cast(load.last_reading_date as date) as load_as_of_date,
        case when load.customer_key is not null then 'meter_readings' end as load_source,
        case
            when load.annual_kwh is null then 'none'
            when load.coverage_pct >= 95 and load.observed_months_count >= 12 then 'high'
            when load.coverage_pct >= 80 and load.observed_months_count >= 6 then 'medium'
            else 'low'
        end as load_confidence,
        load.kwh_change_yoy_pct,
        case
            when load.kwh_change_yoy_pct >= 10 then 'rising'
            when load.kwh_change_yoy_pct <= -10 then 'falling'
            when load.kwh_change_yoy_pct is not null then 'steady'
        end as consumption_trend,
        cast(load.last_reading_date as date) as trend_as_of_date,
        case when load.customer_key is not null then 'meter_readings' end as trend_source,
        case
            when load.kwh_change_yoy_pct is null then 'none'
            when load.coverage_pct >= 95 then 'high'
            when load.coverage_pct >= 80 then 'medium'
            else 'low'
        end as trend_confidence,
        shape.base_share,
        load.weekend_ratio,
        load.daily_kwh_cv,
        case when habits.shaped_days_count >= 30 then habits.day_shape_entropy_bits end as day_shape_entropy_bits,
        case when habits.shaped_days_count >= 30 then habits.usual_day_shape end as usual_day_shape,
        case when habits.shaped_days_count >= 30 then habits.usual_day_shape_share end as usual_day_shape_share,
        cast(load.last_reading_date as date) as shape_as_of_date,
        case when coalesce(habits.shaped_days_count, 0) > 0 then 'meter_readings' end as shape_source,
        case
            when habits.shaped_days_count >= 300 then 'high'
            when habits.shaped_days_count >= 180 then 'medium'
            when habits.shaped_days_count >= 30 then 'low'
            else 'none'
        end as shape_confidence,
        load.summer_ratio,
        load.winter_ratio,
        cast(load.last_reading_date as date) as season_as_of_date,
        case when load.customer_key is not null then 'meter_readings' end as season_source,
        case
            when load.summer_ratio is null and load.winter_ratio is null then 'none'
            when load.summer_ratio is not null and load.winter_ratio is not null and load.observed_months_count >= 12 then 'high'
            when load.summer_ratio is not null and load.winter_ratio is not null then 'medium'
            else 'low'
        end as season_confidence,
        temperature.heating_balance_c,
        temperature.heating_kwh_per_degree_day,
        temperature.cooling_balance_c,
        temperature.cooling_kwh_per_degree_day,
        temperature.explained_share as temperature_explained_share,
        cast(load.last_reading_date as date) as temperature_as_of_date,
        case when temperature.customer_key is not null then 'meter_readings, weather' end as temperature_source,
        case
            when temperature.customer_key is null then 'none'
            when temperature.explained_share >= 0.5 and temperature.days_count >= 300 then 'high'
            when temperature.explained_share >= 0.25 and temperature.days_count >= 180 then 'medium'
            else 'low'
        end as temperature_confidence,
        habits.night_kwh_share,
        habits.morning_kwh_share,
        habits.midday_kwh_share,
        habits.evening_kwh_share,
        cast(load.last_reading_date as date) as time_of_use_as_of_date,
        case when habits.night_kwh_share is not null then 'meter_readings' end as time_of_use_source,
        case
            when habits.night_kwh_share is null then 'none'
            when load.observed_months_count >= 12 and load.coverage_pct >= 95 then 'high'
            when load.observed_months_count >= 6 and load.coverage_pct >= 80 then 'medium'
            else 'low'
        end as time_of_use_confidence,
        shape.peak_hour,
        case when habits.shaped_days_count >= 30 then habits.evening_peak_days_share end as evening_peak_days_share,
        case when habits.shaped_days_count >= 30 then habits.sharp_peak_days_share end as sharp_peak_days_share,
        {{ percentage('load.peak_kw', 'as_of_customers.contract_capacity_kva') }} as capacity_utilisation_pct,
        cast(load.last_reading_date as date) as peak_as_of_date,
        case when coalesce(habits.shaped_days_count, 0) > 0 then 'meter_readings' end as peak_source,
        case
            when habits.shaped_days_count >= 300 then 'high'
            when habits.shaped_days_count >= 180 then 'medium'
            when habits.shaped_days_count >= 30 then 'low'
            else 'none'
        end as peak_confidence,
        case
            when habits.export_kwh > 0 then true
            when habits.noon_ratio is not null then habits.noon_ratio <= 0.6
        end as solar_is_suspected,
        habits.export_kwh,
        habits.noon_ratio,
        cast(load.last_reading_date as date) as solar_as_of_date,
        case
            when habits.export_kwh > 0 then 'meter_readings: export'
            when habits.noon_ratio is not null then 'meter_readings: noon dip'
        end as solar_source,
        case
            when habits.export_kwh > 0 then 'high'
            when habits.noon_ratio is null then 'none'
            when habits.noon_ratio <= 0.5 or (habits.noon_ratio > 0.7 and load.observed_months_count >= 12) then 'medium'
            else 'low'
        end as solar_confidence,
        case
            when as_of_customers.customer_class = 'residential' and habits.mild_days_count >= 30
                then habits.vehicle_like_days_share >= 0.15
        end as vehicle_is_suspected,
        case when as_of_customers.customer_class = 'residential' then habits.vehicle_like_days_share end as vehicle_like_days_share,
        case when as_of_customers.customer_class = 'residential' then habits.vehicle_like_peak_kw end as vehicle_charge_kw,
        cast(load.last_reading_date as date) as vehicle_as_of_date,
        case when habits.vehicle_like_days_share is not null and as_of_customers.customer_class = 'residential' then 'meter_readings' end as vehicle_source,
        case
            when coalesce(as_of_customers.customer_class, '') <> 'residential' or habits.mild_days_count < 30 then 'none'
            when habits.vehicle_like_days_share between 0.08 and 0.22 or habits.mild_days_count < 60 then 'low'
            when habits.mild_days_count >= 120 and habits.weather_days_count >= 120 then 'high'
            else 'medium'
        end as vehicle_confidence,
        cast(billing.billed_amount_12m_amount as decimal(18, 2)) as billed_amount_12m_amount,
        cast(billing.bills_12m_count as integer) as bills_12m_count,
        cast(billing.unpaid_amount as decimal(18, 2)) as unpaid_amount,
        cast(billing.late_bills_12m_count as integer) as late_bills_12m_count,
        billing.mean_days_late_12m_days,
        behaviour.automatic_payment_share_12m,
        segments.payment_behaviour,
        behaviour.digital_payment_share_12m,
        cast(as_of_customers.month_end_date as date) as payment_as_of_date,
        case when coalesce(billing.bills_12m_count, 0) > 0 then 'bills, payments' end as payment_source,
        case
            when not as_of_months.has_payments or coalesce(billing.bills_12m_count, 0) = 0 then 'none'
            when billing.bills_12m_count >= 10 then 'high'
            when billing.bills_12m_count >= 4 then 'medium'
            else 'low'
        end as payment_confidence,
        cast(service.contacts_12m_count as integer) as contacts_12m_count,
        cast(service.billing_contacts_12m_count as integer) as billing_contacts_12m_count,
        cast(service.mean_satisfaction_12m as double) as mean_satisfaction_12m,
        segments.channel_preference,
        case when as_of_months.has_contacts then service.has_open_dispute end as has_open_dispute,
        cast(as_of_customers.month_end_date as date) as service_as_of_date,
        case when as_of_months.has_contacts then 'service_contacts' end as service_source,
        case
            when not as_of_months.has_contacts then 'none'
            when service.mean_satisfaction_12m is not null or service.contacts_12m_count = 0 then 'high'
            else 'medium'
        end as service_confidence,
        cast(service.programmes_count as integer) as programmes_count,
        cast(behaviour.programmes_left_12m_count as integer) as programmes_left_12m_count,
        cast(as_of_customers.month_end_date as date) as programmes_as_of_date,
        case when as_of_months.has_programmes then 'programme_enrolments' end as programmes_source,
        case
            when as_of_months.has_programmes then 'high'
            else 'none'
        end as programmes_confidence,
        segments.segment_id,
        segments.segment_name,
        segments.segment_name_zh,
        segments.segment_confidence,
        segments.runner_up_segment_id,
        cast(segments.month_end_date as date) as segmentation_as_of_date,
        case when segments.segment_id is not null then concat('segmentation ', segments.release) end as segmentation_source,
        case
            when segments.segment_id is null or segments.segment_confidence is null then 'none'
            when segments.segment_confidence >= 0.3 then 'high'
            when segments.segment_confidence >= 0.1 then 'medium'
            else 'low'
        end as segmentation_confidence,
        segments.value_tier,
        segments.loyalty_tier,
        {{ customer_tier('segments.value_tier', 'segments.loyalty_tier', 'coalesce(scores.rating_in_force, scores.credit_rating)') }}
            as customer_tier,
        cast(segments.month_end_date as date) as value_as_of_date,
        case when segments.value_tier is not null then concat('segmentation ', segments.release) end as value_source,
        case
            when coalesce(segments.value_tier, 'unknown') = 'unknown' then 'none'
            when billing.bills_12m_count >= 10 then 'high'
            when billing.bills_12m_count >= 4 then 'medium'
            else 'low'
        end as value_confidence,
        segments.life_cycle_stage,
        segments.life_cycle_stage_in_force,
        cast(segments.month_end_date as date) as life_cycle_as_of_date,
        case when segments.life_cycle_stage is not null then concat('segmentation ', segments.release) end as life_cycle_source,
        case
            when coalesce(segments.life_cycle_stage, 'unknown') = 'unknown' then 'none'
            when load.kwh_change_yoy_pct is not null and load.coverage_pct >= 95 then 'high'
            when load.kwh_change_yoy_pct is not null or segments.life_cycle_stage = 'new' then 'medium'
            else 'low'
        end as life_cycle_confidence,
        segments.leaving_probability,
        segments.leaving_reason_code,
        segments.potential_probability,
        segments.potential_reason_code,
        cast(segments.month_end_date as date) as leaving_as_of_date,
        case when coalesce(segments.leaving_probability, segments.potential_probability) is not null then concat('segmentation ', segments.release) end as leaving_source,
        case
            when segments.leaving_probability is not null and segments.potential_probability is not null then 'medium'
            when coalesce(segments.leaving_probability, segments.potential_probability) is not null then 'low'
            else 'none'
        end as leaving_confidence,
        recommendations.recommended_tariff_id,
        recommendations.is_switch_recommended,
        recommendations.expected_saving_amount,
        recommendations.saving_lower_amount,
        recommendations.saving_upper_amount,
        recommendations.saving_probability,
        cast(recommendations.month_end_date as date) as advice_as_of_date,
        case when recommendations.recommended_tariff_id is not null then concat('tariff_matching ', recommendations.release) end as advice_source,
        case
            when recommendations.recommended_tariff_id is null or recommendations.load_basis = 'none' then 'none'
            when recommendations.load_basis = 'readings' and recommendations.price_is_verified then 'high'
            when recommendations.load_basis = 'readings' then 'medium'
            else 'low'
        end as advice_confidence,
        coalesce(scores.rating_in_force, scores.credit_rating) as credit_rating,
        scores.in_force_since_month,
        scores.default_probability,
        scores.credit_points,
        scores.reason_1_code as rating_reason_1_code,
        cast(scores.month_end_date as date) as rating_as_of_date,
        case when scores.credit_rating is not null then concat('credit_risk ', scores.release) end as rating_source,
        case
            when scores.credit_rating is null then 'none'
            when billing.bills_12m_count >= 10 then 'high'
            when billing.bills_12m_count >= 4 then 'medium'
            else 'low'
        end as rating_confidence
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
