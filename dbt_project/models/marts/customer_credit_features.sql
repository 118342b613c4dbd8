with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}

),

billing as (

    select * from {{ ref('int_as_of_billing') }}

),

load as (

    select * from {{ ref('int_as_of_load') }}

),

service as (

    select * from {{ ref('int_as_of_service') }}

),

final as (

    select
        as_of_customers.customer_key,
        cast(as_of_customers.as_of_month as date) as as_of_month,
        cast(as_of_customers.as_of_at as {{ type_timestamp() }}) as as_of_at,
        as_of_customers.district,
        billing.recovery_rate_due_3m_pct,
        billing.recovery_rate_due_6m_pct,
        billing.recovery_rate_due_12m_pct,
        billing.recovery_rate_30d_6m_pct,
        billing.recovery_rate_30d_12m_pct,
        billing.money_received_3m_pct,
        billing.money_received_6m_pct,
        billing.money_received_12m_pct,
        billing.lowest_money_received_12m_pct,
        billing.unpaid_balance_ratio,
        billing.open_balance_ratio,
        billing.on_time_share_12m_pct,
        cast(billing.late_bills_3m_count as double) as late_bills_3m_count,
        cast(billing.late_bills_6m_count as double) as late_bills_6m_count,
        cast(billing.late_bills_12m_count as double) as late_bills_12m_count,
        cast(billing.months_since_late_bill_months as double) as months_since_late_bill_months,
        billing.mean_days_late_3m_days,
        billing.mean_days_late_6m_days,
        billing.mean_days_late_12m_days,
        cast(billing.max_days_late_3m_days as double) as max_days_late_3m_days,
        cast(billing.max_days_late_6m_days as double) as max_days_late_6m_days,
        cast(billing.max_days_late_12m_days as double) as max_days_late_12m_days,
        cast(billing.oldest_debt_days as double) as oldest_debt_days,
        billing.days_late_trend_days,
        cast(billing.partial_payments_3m_count as double) as partial_payments_3m_count,
        cast(billing.partial_payments_6m_count as double) as partial_payments_6m_count,
        cast(billing.partial_payments_12m_count as double) as partial_payments_12m_count,
        load.monthly_kwh_cv_3m,
        load.monthly_kwh_cv_6m,
        load.monthly_kwh_cv_12m,
        load.kwh_change_yoy_pct,
        load.load_factor_3m,
        load.load_factor_6m,
        load.load_factor as load_factor_12m,
        cast(load.zero_days_3m_count as double) as zero_load_days_3m_count,
        cast(load.zero_days_6m_count as double) as zero_load_days_6m_count,
        cast(load.zero_days_count as double) as zero_load_days_12m_count,
        {{ percentage('load.peak_kw_3m', 'as_of_customers.contract_capacity_kva') }} as capacity_utilisation_3m_pct,
        {{ percentage('load.peak_kw_6m', 'as_of_customers.contract_capacity_kva') }} as capacity_utilisation_6m_pct,
        {{ percentage('load.peak_kw', 'as_of_customers.contract_capacity_kva') }} as capacity_utilisation_12m_pct,
        cast(billing.overdue_30d_bills_3m_count as double) as overdue_30d_bills_3m_count,
        cast(billing.overdue_30d_bills_6m_count as double) as overdue_30d_bills_6m_count,
        cast(billing.overdue_30d_bills_12m_count as double) as overdue_30d_bills_12m_count,
        cast(billing.months_since_overdue_30d_months as double) as months_since_overdue_30d_months,
        {{ percentage('billing.open_amount', 'as_of_customers.credit_limit_amount') }} as credit_limit_utilisation_pct,
        {{ percentage('billing.mean_bill_12m_amount', 'as_of_customers.credit_limit_amount') }}
            as mean_bill_to_credit_limit_pct,
        cast(billing.returned_payments_3m_count as double) as returned_payments_3m_count,
        cast(billing.returned_payments_6m_count as double) as returned_payments_6m_count,
        cast(billing.returned_payments_12m_count as double) as returned_payments_12m_count,
        cast(service.confirmed_breaches_24m_count as double) as confirmed_breaches_24m_count,
        cast(as_of_customers.tenure_months as double) as tenure_months,
        cast(service.contacts_3m_count as double) as contacts_3m_count,
        cast(service.contacts_6m_count as double) as contacts_6m_count,
        cast(service.contacts_12m_count as double) as contacts_12m_count,
        cast(service.billing_contacts_3m_count as double) as billing_contacts_3m_count,
        cast(service.billing_contacts_6m_count as double) as billing_contacts_6m_count,
        cast(service.billing_contacts_12m_count as double) as billing_contacts_12m_count,
        cast(service.mean_satisfaction_12m as double) as mean_satisfaction_12m,
        as_of_customers.customer_class,
        billing.mean_bill_12m_amount,
        cast(coalesce(billing.bills_12m_count, 0) as double) as bills_12m_count,
        as_of_customers.contract_capacity_kva,
        as_of_customers.credit_limit_amount
    from as_of_customers
    left join billing
        on
            as_of_customers.customer_key = billing.customer_key
            and as_of_customers.as_of_month_number = billing.as_of_month_number
    left join load
        on
            as_of_customers.customer_key = load.customer_key
            and as_of_customers.as_of_month_number = load.as_of_month_number
    left join service
        on
            as_of_customers.customer_key = service.customer_key
            and as_of_customers.as_of_month_number = service.as_of_month_number

)

select * from final
