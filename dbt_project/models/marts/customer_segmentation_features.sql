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

seasons as (

    select * from {{ ref('int_as_of_seasons') }}

),

peak_contribution as (

    select * from {{ ref('int_as_of_peak_contribution') }}

),

billed_energy as (

    select * from {{ ref('int_as_of_billed_energy') }}

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

final as (

    select
        as_of_customers.customer_key,
        cast(as_of_customers.as_of_month as date) as as_of_month,
        as_of_customers.district,
        as_of_customers.customer_class,
        cast(coalesce(load.observed_days_count, 0) as double) as observed_days_count
        {%- for day_class in ['weekday', 'weekend'] %}
        {%- for hour in range(24) %},
        shape.{{ day_class }}_shape_{{ '%02d' % hour }}
        {%- endfor %}
        {%- endfor %}
        {%- for season in ['summer', 'winter'] %}
        {%- for hour in range(0, 24, 4) %},
        shape.{{ season }}_shift_{{ '%02d' % hour }}
        {%- endfor %}
        {%- endfor %},
        seasons.summer_level_shift,
        seasons.winter_level_shift,
        seasons.mild_rest_day_shift,
        seasons.summer_rest_day_shift,
        seasons.winter_rest_day_shift,
        load.annual_kwh,
        load.mean_daily_kwh,
        load.peak_kw,
        load.load_factor,
        shape.base_share,
        shape.peak_hour,
        load.weekend_ratio,
        shape.night_share,
        load.summer_ratio,
        load.winter_ratio,
        load.daily_kwh_cv,
        cast(load.zero_days_count as double) as zero_days_count,
        load.kwh_change_yoy_pct,
        peak_contribution.peak_contribution,
        cast(billing.billed_amount_12m_amount as double) as billed_amount_12m_amount,
        billed_energy.billed_amount_per_kwh,
        -- Where no payment was delivered, every bill would look unpaid.
        case when as_of_months.has_payments then cast(billing.late_bills_12m_count as double) end as late_bills_12m_count,
        cast(service.contacts_12m_count as double) as contacts_12m_count,
        cast(service.programmes_count as double) as programmes_count,
        cast(as_of_customers.tenure_months as double) as tenure_months,
        behaviour.billed_kwh_change_yoy_pct,
        case when as_of_months.has_payments then cast(billing.on_time_share_12m_pct as double) end as on_time_share_12m_pct,
        case when as_of_months.has_payments then billing.mean_days_late_12m_days end as mean_days_late_12m_days,
        case when as_of_months.has_payments then billing.unpaid_balance_ratio end as unpaid_balance_ratio,
        behaviour.automatic_payment_share_12m,
        behaviour.digital_payment_share_12m,
        behaviour.counter_payment_share_12m,
        behaviour.digital_contact_share_12m,
        cast(service.billing_contacts_6m_count as double) as billing_contacts_6m_count,
        cast(service.mean_satisfaction_12m as double) as mean_satisfaction_12m,
        cast(behaviour.programmes_left_12m_count as double) as programmes_left_12m_count,
        cast(behaviour.closing_in_days as double) as closing_in_days,
        cast(behaviour.returned_ago_months as double) as returned_ago_months,
        behaviour.contract_capacity_kva,
        behaviour.annual_margin_amount,
        behaviour.capacity_margin_amount,
        behaviour.products_count,
        cast(behaviour.contract_left_days as double) as contract_left_days,
        cast(behaviour.contract_unchanged_days as double) as contract_unchanged_days,
        cast(behaviour.contract_unrenewed_days as double) as contract_unrenewed_days,
        behaviour.sales_channel,
        behaviour.acquisition_campaign
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
    left join seasons
        on
            as_of_customers.customer_key = seasons.customer_key
            and as_of_customers.as_of_month_number = seasons.as_of_month_number
    left join peak_contribution
        on
            as_of_customers.customer_key = peak_contribution.customer_key
            and as_of_customers.as_of_month_number = peak_contribution.as_of_month_number
    left join billed_energy
        on
            as_of_customers.customer_key = billed_energy.customer_key
            and as_of_customers.as_of_month_number = billed_energy.as_of_month_number
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

)

select * from final
