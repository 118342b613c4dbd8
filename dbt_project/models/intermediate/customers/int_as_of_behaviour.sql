with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}
    where recency_rank <= {{ var('feature_months') }}

),

as_of_months as (

    select * from {{ ref('int_as_of_months') }}

),

bills as (

    select * from {{ ref('stg_billing__bills') }}
    where billed_kwh >= 0

),

payments as (

    select * from {{ ref('stg_billing__payments') }}
    where
        is_money
        and paid_amount > 0

),

contacts as (

    select * from {{ ref('stg_service__contacts') }}

),

programmes as (

    select * from {{ ref('stg_crm__programme_enrolments') }}

),

customer_versions as (

    select
        customer_key,
        visible_from_month_number,
        closed_date,
        lag(closed_date) over (partition by customer_key order by known_at, revision) as previous_closed_date
    from {{ ref('stg_crm__customers') }}

),

-- Bills issued in the last three months, and in the same three months a year before: the seasons are the same, and a
-- longer period weighs as many days as it has.
billed_energy as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        {{ sum_where('bills.billed_kwh', 'as_of_customers.as_of_month_number - ' ~ month_number('bills.issued_date') ~ ' <= 2', 'double') }}
            as recent_kwh,
        {{ sum_where('bills.billed_kwh', 'as_of_customers.as_of_month_number - ' ~ month_number('bills.issued_date') ~ ' >= 12', 'double') }}
            as earlier_kwh,
        {{ sum_where(
            datediff('bills.period_start_date', 'bills.period_end_date', 'day'),
            'as_of_customers.as_of_month_number - ' ~ month_number('bills.issued_date') ~ ' <= 2', 'bigint'
        ) }} as recent_days,
        {{ sum_where(
            datediff('bills.period_start_date', 'bills.period_end_date', 'day'),
            'as_of_customers.as_of_month_number - ' ~ month_number('bills.issued_date') ~ ' >= 12', 'bigint'
        ) }} as earlier_days
    from as_of_customers
    inner join bills
        on
            as_of_customers.customer_key = bills.customer_key
            and as_of_customers.as_of_month_number - {{ month_number('bills.issued_date') }} in (0, 1, 2, 12, 13, 14)
            and {{ is_visible_in('bills', 'as_of_customers.as_of_month_number') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

payment_channels as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        count(*) as payments_count,
        {{ count_in('payments.channel', var('automatic_channels')) }} as automatic_count,
        {{ count_in('payments.channel', var('digital_channels')) }} as digital_count,
        {{ count_in('payments.channel', var('counter_channels')) }} as counter_count
    from as_of_customers
    inner join payments
        on
            as_of_customers.customer_key = payments.customer_key
            and as_of_customers.as_of_month_number - {{ month_number('payments.paid_date') }} between 0 and 11
            and {{ is_visible_in('payments', 'as_of_customers.as_of_month_number') }}
    where payments.channel is not null
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

contact_channels as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        count(*) as contacts_count,
        {{ count_in('contacts.channel', var('digital_channels')) }} as digital_count
    from as_of_customers
    inner join contacts
        on
            as_of_customers.customer_key = contacts.customer_key
            and as_of_customers.as_of_month_number - contacts.opened_month_number <= 11
            and {{ is_visible_in('contacts', 'as_of_customers.as_of_month_number') }}
    where contacts.channel is not null
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

programmes_left as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        count(distinct programmes.programme) as programmes_left_12m_count
    from as_of_customers
    inner join programmes
        on
            as_of_customers.customer_key = programmes.customer_key
            and as_of_customers.as_of_month_number - {{ month_number('programmes.left_date') }} between 0 and 11
            and {{ is_visible_in('programmes', 'as_of_customers.as_of_month_number') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

-- A supply that had ended and was delivered again without an end.
returns as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        max(customer_versions.visible_from_month_number) as returned_month_number
    from as_of_customers
    inner join customer_versions
        on
            as_of_customers.customer_key = customer_versions.customer_key
            and customer_versions.visible_from_month_number <= as_of_customers.as_of_month_number
    where
        customer_versions.closed_date is null
        and {{ month_number('customer_versions.previous_closed_date') }} < customer_versions.visible_from_month_number
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

contracts as (

    select
        customer_key,
        as_of_month_number,
        try_cast({{ json_text('attributes', 'annual_margin_amount') }} as double) as annual_margin_amount,
        try_cast({{ json_text('attributes', 'capacity_margin_amount') }} as double) as capacity_margin_amount,
        try_cast({{ json_text('attributes', 'products_count') }} as double) as products_count,
        try_cast({{ json_text('attributes', 'contract_end_date') }} as date) as contract_end_date,
        try_cast({{ json_text('attributes', 'contract_changed_date') }} as date) as contract_changed_date,
        try_cast({{ json_text('attributes', 'contract_renewed_date') }} as date) as contract_renewed_date,
        {{ json_text('attributes', 'sales_channel') }} as sales_channel,
        {{ json_text('attributes', 'acquisition_campaign') }} as acquisition_campaign
    from as_of_customers

),

final as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        100.0 * (
            billed_energy.recent_kwh / nullif(billed_energy.recent_days, 0)
            / nullif(billed_energy.earlier_kwh / nullif(billed_energy.earlier_days, 0), 0) - 1
        ) as billed_kwh_change_yoy_pct,
        cast(payment_channels.automatic_count as double) / payment_channels.payments_count
            as automatic_payment_share_12m,
        cast(payment_channels.digital_count as double) / payment_channels.payments_count as digital_payment_share_12m,
        cast(payment_channels.counter_count as double) / payment_channels.payments_count as counter_payment_share_12m,
        cast(contact_channels.digital_count as double) / contact_channels.contacts_count as digital_contact_share_12m,
        case
            when as_of_months.has_programmes then coalesce(programmes_left.programmes_left_12m_count, 0)
        end as programmes_left_12m_count,
        {{ datediff('as_of_customers.month_end_date', 'as_of_customers.closed_date', 'day') }} as closing_in_days,
        as_of_customers.as_of_month_number - returns.returned_month_number as returned_ago_months,
        as_of_customers.contract_capacity_kva,
        contracts.annual_margin_amount,
        contracts.capacity_margin_amount,
        contracts.products_count,
        {{ datediff('as_of_customers.month_end_date', 'contracts.contract_end_date', 'day') }}
            as contract_left_days,
        {{ datediff('contracts.contract_changed_date', 'as_of_customers.month_end_date', 'day') }}
            as contract_unchanged_days,
        {{ datediff('contracts.contract_renewed_date', 'as_of_customers.month_end_date', 'day') }}
            as contract_unrenewed_days,
        contracts.sales_channel,
        contracts.acquisition_campaign
    from as_of_customers
    inner join as_of_months
        on as_of_customers.as_of_month_number = as_of_months.as_of_month_number
    inner join contracts
        on
            as_of_customers.customer_key = contracts.customer_key
            and as_of_customers.as_of_month_number = contracts.as_of_month_number
    left join billed_energy
        on
            as_of_customers.customer_key = billed_energy.customer_key
            and as_of_customers.as_of_month_number = billed_energy.as_of_month_number
    left join payment_channels
        on
            as_of_customers.customer_key = payment_channels.customer_key
            and as_of_customers.as_of_month_number = payment_channels.as_of_month_number
    left join contact_channels
        on
            as_of_customers.customer_key = contact_channels.customer_key
            and as_of_customers.as_of_month_number = contact_channels.as_of_month_number
    left join programmes_left
        on
            as_of_customers.customer_key = programmes_left.customer_key
            and as_of_customers.as_of_month_number = programmes_left.as_of_month_number
    left join returns
        on
            as_of_customers.customer_key = returns.customer_key
            and as_of_customers.as_of_month_number = returns.as_of_month_number

)

select * from final
