with customers as (

    select * from {{ ref('stg_crm__customers') }}
    where is_latest_version

),

consents as (

    select * from {{ ref('stg_crm__marketing_consents') }}
    where is_latest_version

),

contacts as (

    select * from {{ ref('stg_service__contacts') }}
    where is_latest_version

),

settlements as (

    select * from {{ ref('int_bill_settlement_versions') }}
    where visible_until_month_number is null

),

payments as (

    select count(*) as payments_count from {{ ref('stg_billing__payments') }}

),

-- As known with the last delivery, not as of a month's end: who withdrew a consent is left alone at once.
last_delivery as (

    select cast({{ local_timestamp('max(known_at)') }} as date) as known_on_date
    from {{ ref('stg_landing__deliveries') }}

),

consents_that_hold as (

    select
        consents.customer_key,
{% for channel in var('marketing_channels') %}
        max(case when consents.channel = '{{ channel }}' then consents.given_date end)
            as {{ channel }}_consent_date{{ "," if not loop.last }}
{% endfor %}
    from consents
    cross join last_delivery
    where consents.withdrawn_date is null or consents.withdrawn_date > last_delivery.known_on_date
    group by consents.customer_key

),

open_matters as (

    select
        customer_key,
        count(
            case when topic in ('{{ var("complaint_topics") | join("', '") }}') then 1 end
        ) as open_complaints_count,
        count(case when topic in ('{{ var("dispute_topics") | join("', '") }}') then 1 end) as open_disputes_count
    from contacts
    where closed_at is null
    group by customer_key

),

debts as (

    select
        settlements.customer_key,
        sum(settlements.billed_amount - settlements.allocated_amount) as overdue_amount
    from settlements
    cross join last_delivery
    cross join payments
    where
        settlements.due_date < last_delivery.known_on_date
        -- Where no payment is delivered, nobody is known to owe anything.
        and payments.payments_count > 0
    group by settlements.customer_key

),

final as (

    select
        customers.customer_key,
        cast(coalesce(open_matters.open_complaints_count, 0) as integer) as open_complaints_count,
        cast(coalesce(open_matters.open_disputes_count, 0) as integer) as open_disputes_count,
        cast(coalesce(debts.overdue_amount, 0) as decimal(18, 2)) as overdue_amount,
{% for channel in var('marketing_channels') %}
        consents_that_hold.{{ channel }}_consent_date,
{% endfor %}
        customers.closed_date,
        last_delivery.known_on_date
    from customers
    cross join last_delivery
    left join consents_that_hold
        on customers.customer_key = consents_that_hold.customer_key
    left join open_matters
        on customers.customer_key = open_matters.customer_key
    left join debts
        on customers.customer_key = debts.customer_key

)

select * from final
