with bills as (

    select * from {{ ref('stg_billing__bills') }}
    where is_latest_version

),

payments as (

    select * from {{ ref('stg_billing__payments') }}
    where is_latest_version

),

customers as (

    select * from {{ ref('stg_crm__customers') }}
    where is_latest_version

),

settlements as (

    select * from {{ ref('int_bill_settlement_versions') }}
    where visible_until_month_number is null

),

deliveries as (

    select * from {{ ref('stg_landing__deliveries') }}

),

last_day as (

    select max(month_end_date) as last_date from {{ ref('int_as_of_months') }}

),

known_bills as (

    select
        bills.customer_key,
        bills.billed_amount,
        -- A day more, because an instant in UTC may lie on the day before that of the supplier.
        bills.issued_date > {{ add_days_to_date('cast(bills.known_at as date)', 1) }} as is_in_future,
        coalesce(settlements.payments_count, 0) as payments_count,
        coalesce(settlements.returned_payments_count, 0) as returned_payments_count,
        coalesce(settlements.overpaid_amount, 0) as overpaid_amount,
        coalesce(settlements.money_amount < settlements.allocated_amount, false) as is_settled_without_money,
        coalesce(settlements.due_date <= last_day.last_date, false) as is_due
    from bills
    cross join last_day
    left join settlements
        on bills.bill_id = settlements.bill_id

),

known_payments as (

    select
        payments.customer_key,
        payments.paid_amount,
        payments.paid_date < bills.issued_date as is_early,
        payments.paid_date > {{ add_days_to_date('cast(payments.known_at as date)', 1) }} as is_in_future,
        coalesce(bills.billed_amount > 0, false) as has_bill
    from payments
    left join bills
        on payments.bill_id = bills.bill_id

),

billed_customers as (

    select
        known_bills.customer_key,
        count(case when known_bills.billed_amount > 0 then 1 end) as bills_count,
        max(customers.customer_class) as customer_class
    from known_bills
    left join customers
        on known_bills.customer_key = customers.customer_key
    group by known_bills.customer_key

),

cases as (

    {{ unusual_rows('bills', 'credit_note_or_empty', 'known_bills', 'billed_amount <= 0') }}
    union all
    {{ unusual_rows('bills', 'without_payment', 'known_bills', 'billed_amount > 0 and is_due and payments_count = 0') }}
    union all
    {{ unusual_rows('bills', 'paid_in_parts', 'known_bills', 'payments_count > 1') }}
    union all
    {{ unusual_rows('bills', 'overpaid', 'known_bills', 'overpaid_amount > 0') }}
    union all
    {{ unusual_rows('bills', 'payment_taken_back', 'known_bills', 'returned_payments_count > 0') }}
    union all
    {{ unusual_rows('bills', 'settled_without_money', 'known_bills', 'is_settled_without_money') }}
    union all
    {{ unusual_rows('bills', 'in_future', 'known_bills', 'is_in_future') }}
    union all
    {{ unusual_rows('payments', 'without_bill', 'known_payments', 'not has_bill') }}
    union all
    {{ unusual_rows('payments', 'early', 'known_payments', 'is_early') }}
    union all
    {{ unusual_rows('payments', 'negative', 'known_payments', 'paid_amount < 0') }}
    union all
    {{ unusual_rows('payments', 'in_future', 'known_payments', 'is_in_future') }}
    union all
    {{ unusual_rows('customers', 'one_bill', 'billed_customers', 'bills_count = 1') }}
    union all
    {{ unusual_rows('customers', 'no_class', 'billed_customers', 'customer_class is null') }}
    {%- for entity in ['bills', 'payments'] %}
    union all
    select
        '{{ entity }}' as subject,
        'refused' as case_code,
        coalesce(sum(rows_quarantined_count), 0) as rows_count,
        0 as customers_count,
        coalesce(sum(rows_in_count), 0) as of_rows_count
    from deliveries
    where entity = '{{ entity }}'
    {%- endfor %}

),

final as (

    select
        subject,
        case_code,
        cast(rows_count as bigint) as rows_count,
        cast(customers_count as bigint) as customers_count,
        cast(of_rows_count as bigint) as of_rows_count
    from cases
    where of_rows_count > 0

)

select * from final
