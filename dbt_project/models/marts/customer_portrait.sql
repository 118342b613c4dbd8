with customers as (

    select
        *,
        cast({{ local_timestamp('known_at') }} as date) as known_on_date
    from {{ ref('stg_crm__customers') }}
    where is_latest_version

),

as_of_customers as (

    select distinct customer_key from {{ ref('int_as_of_customers') }}

),

last_as_of_month as (

    select * from {{ ref('int_as_of_months') }}
    where recency_rank = 1

),

history as (

    select * from {{ ref('customer_portrait_history') }}

),

customer_keys as (

    select customer_key from customers
    union
    select customer_key from as_of_customers

),

final as (

    select
        customer_keys.customer_key,
        cast(last_as_of_month.as_of_month as date) as as_of_month,
        customers.customer_class,
        customers.district,
        customers.voltage_level,
        customers.supply_route,
        '{{ var("currency") }}' as currency,
        {% call portrait_section("identity", "coalesce(last_as_of_month.month_end_date, customers.known_on_date)", "'customers'") %}
        case
            when customers.customer_class is not null and customers.district is not null then 'high'
            when customers.customer_class is not null then 'medium'
            else 'none'
        end
        {% endcall %},
        history.tariff_id,
        history.billing_basis,
        history.contracted_kw,
        customers.contract_capacity_kva,
        history.tenure_months,
        customers.registered_date,
        customers.closed_date,
        {% call portrait_section("contract", "coalesce(last_as_of_month.month_end_date, customers.known_on_date)", "coalesce(history.contract_source, 'customers')") %}
        case
            when history.contract_confidence is not null then history.contract_confidence
            when customers.customer_class is not null or customers.registered_date is not null then 'low'
            else 'none'
        end
        {% endcall %},
        history.annual_kwh,
        history.mean_daily_kwh,
        history.peak_kw,
        history.load_factor,
        history.coverage_pct,
        history.observed_days_count,
        history.last_reading_date,
        history.load_as_of_date,
        history.load_source,
        coalesce(history.load_confidence, 'none') as load_confidence,
        history.kwh_change_yoy_pct,
        history.consumption_trend,
        history.trend_as_of_date,
        history.trend_source,
        coalesce(history.trend_confidence, 'none') as trend_confidence,
        history.base_share,
        history.weekend_ratio,
        history.daily_kwh_cv,
        history.day_shape_entropy_bits,
        history.usual_day_shape,
        history.usual_day_shape_share,
        history.shape_as_of_date,
        history.shape_source,
        coalesce(history.shape_confidence, 'none') as shape_confidence,
        history.summer_ratio,
        history.winter_ratio,
        history.season_as_of_date,
        history.season_source,
        coalesce(history.season_confidence, 'none') as season_confidence,
        history.heating_balance_c,
        history.heating_kwh_per_degree_day,
        history.cooling_balance_c,
        history.cooling_kwh_per_degree_day,
        history.temperature_explained_share,
        history.temperature_as_of_date,
        history.temperature_source,
        coalesce(history.temperature_confidence, 'none') as temperature_confidence,
        history.night_kwh_share,
        history.morning_kwh_share,
        history.midday_kwh_share,
        history.evening_kwh_share,
        history.time_of_use_as_of_date,
        history.time_of_use_source,
        coalesce(history.time_of_use_confidence, 'none') as time_of_use_confidence,
        history.peak_hour,
        history.evening_peak_days_share,
        history.sharp_peak_days_share,
        history.capacity_utilisation_pct,
        history.peak_as_of_date,
        history.peak_source,
        coalesce(history.peak_confidence, 'none') as peak_confidence,
        history.solar_is_suspected,
        history.export_kwh,
        history.noon_ratio,
        history.solar_as_of_date,
        history.solar_source,
        coalesce(history.solar_confidence, 'none') as solar_confidence,
        history.vehicle_is_suspected,
        history.vehicle_like_days_share,
        history.vehicle_charge_kw,
        history.vehicle_as_of_date,
        history.vehicle_source,
        coalesce(history.vehicle_confidence, 'none') as vehicle_confidence,
        history.billed_amount_12m_amount,
        history.bills_12m_count,
        history.unpaid_amount,
        history.late_bills_12m_count,
        history.mean_days_late_12m_days,
        history.automatic_payment_share_12m,
        history.payment_behaviour,
        history.digital_payment_share_12m,
        history.payment_as_of_date,
        history.payment_source,
        coalesce(history.payment_confidence, 'none') as payment_confidence,
        history.contacts_12m_count,
        history.billing_contacts_12m_count,
        history.mean_satisfaction_12m,
        history.channel_preference,
        history.has_open_dispute,
        history.service_as_of_date,
        history.service_source,
        coalesce(history.service_confidence, 'none') as service_confidence,
        history.programmes_count,
        history.programmes_left_12m_count,
        history.programmes_as_of_date,
        history.programmes_source,
        coalesce(history.programmes_confidence, 'none') as programmes_confidence,
        history.segment_id,
        history.segment_name,
        history.segment_name_zh,
        history.segment_confidence,
        history.runner_up_segment_id,
        history.segmentation_as_of_date,
        history.segmentation_source,
        coalesce(history.segmentation_confidence, 'none') as segmentation_confidence,
        history.value_tier,
        history.loyalty_tier,
        history.customer_tier,
        history.value_as_of_date,
        history.value_source,
        coalesce(history.value_confidence, 'none') as value_confidence,
        history.life_cycle_stage,
        history.life_cycle_stage_in_force,
        history.life_cycle_as_of_date,
        history.life_cycle_source,
        coalesce(history.life_cycle_confidence, 'none') as life_cycle_confidence,
        history.leaving_probability,
        history.leaving_reason_code,
        history.potential_probability,
        history.potential_reason_code,
        history.leaving_as_of_date,
        history.leaving_source,
        coalesce(history.leaving_confidence, 'none') as leaving_confidence,
        history.recommended_tariff_id,
        history.is_switch_recommended,
        history.expected_saving_amount,
        history.saving_lower_amount,
        history.saving_upper_amount,
        history.saving_probability,
        history.advice_as_of_date,
        history.advice_source,
        coalesce(history.advice_confidence, 'none') as advice_confidence,
        history.credit_rating,
        history.in_force_since_month,
        history.default_probability,
        history.credit_points,
        history.rating_reason_1_code,
        history.rating_as_of_date,
        history.rating_source,
        coalesce(history.rating_confidence, 'none') as rating_confidence
    from customer_keys
    left join customers
        on customer_keys.customer_key = customers.customer_key
    -- Before the first month is over there is nothing to sum up, but the customer is there.
    left join last_as_of_month
        on true
    left join history
        on
            customer_keys.customer_key = history.customer_key
            and last_as_of_month.as_of_month = history.as_of_month

)

select * from final
