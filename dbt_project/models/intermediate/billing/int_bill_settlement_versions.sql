with bills as (

    select * from {{ ref('stg_billing__bills') }}
    -- A credit note or an empty bill cannot be paid late.
    where billed_amount > 0

),

payments as (

    select * from {{ ref('stg_billing__payments') }}

),

-- What is known about a bill changes only where a version of it, or of one of its payments, comes or goes.
version_starts as (

    select
        bill_id,
        visible_from_month_number
    from bills
    union
    select
        bill_id,
        visible_until_month_number as visible_from_month_number
    from bills
    where visible_until_month_number is not null
    union
    select
        bill_id,
        visible_from_month_number
    from payments
    union
    select
        bill_id,
        visible_until_month_number as visible_from_month_number
    from payments
    where visible_until_month_number is not null

),

bill_versions as (

    select
        version_starts.bill_id,
        bills.customer_key,
        version_starts.visible_from_month_number,
        bills.billed_amount,
        bills.issued_date,
        bills.due_date
    from version_starts
    inner join bills
        on
            version_starts.bill_id = bills.bill_id
            and {{ is_visible_in('bills', 'version_starts.visible_from_month_number') }}

),

known_payments as (

    select
        bill_versions.bill_id,
        bill_versions.visible_from_month_number,
        bill_versions.billed_amount,
        bill_versions.due_date,
        payments.payment_id,
        payments.paid_amount,
        payments.paid_date,
        payments.is_money,
        sum(payments.paid_amount) over (
            partition by bill_versions.bill_id, bill_versions.visible_from_month_number
            order by payments.paid_date, payments.payment_id
            rows between unbounded preceding and current row
        ) as paid_so_far_amount
    from bill_versions
    inner join payments
        on
            bill_versions.bill_id = payments.bill_id
            and {{ is_visible_in('payments', 'bill_versions.visible_from_month_number') }}

),

-- Money that was taken back later (a payment returned by the bank) has never settled anything.
lasting_payments as (

    select
        *,
        min(paid_so_far_amount) over (
            partition by bill_id, visible_from_month_number
            order by paid_date, payment_id
            rows between current row and unbounded following
        ) as lasting_amount
    from known_payments

),

settlements as (

    select
        bill_id,
        visible_from_month_number,
        cast(count(case when paid_amount > 0 then 1 end) as integer) as payments_count,
        -- What goes back beyond the amount of the bill is a refund, and nobody's fault.
        cast(
            count(case when paid_amount < 0 and paid_so_far_amount < billed_amount then 1 end) as integer
        ) as returned_payments_count,
        sum(paid_amount) as paid_amount,
        sum(case when is_money then paid_amount else 0 end) as money_amount,
        max(case when paid_date <= due_date then lasting_amount end) as paid_by_due_date_amount,
        {%- for days in [30, 60, 90] %}
        max(
            case when paid_date <= {{ add_days_to_date('due_date', days) }} then lasting_amount end
        ) as paid_{{ days }}_days_late_amount,
        {%- endfor %}
        max(
            case when paid_date <= {{ add_days_to_date('due_date', var('default_days')) }} then lasting_amount end
        ) as paid_before_default_amount,
        min(case when lasting_amount >= billed_amount then paid_date end) as fully_paid_date
    from lasting_payments
    group by bill_id, visible_from_month_number

),

final as (

    select
        bill_versions.bill_id,
        bill_versions.customer_key,
        {{ month_number('bill_versions.issued_date') }} as issued_month_number,
        {{ month_number('bill_versions.due_date') }} as due_month_number,
        bill_versions.visible_from_month_number,
        lead(bill_versions.visible_from_month_number) over (
            partition by bill_versions.bill_id
            order by bill_versions.visible_from_month_number
        ) as visible_until_month_number,
        coalesce(settlements.payments_count, 0) as payments_count,
        coalesce(settlements.returned_payments_count, 0) as returned_payments_count,
        bill_versions.billed_amount,
        {{ capped_amount('settlements.paid_amount', 'bill_versions.billed_amount') }} as allocated_amount,
        {{ capped_amount('settlements.money_amount', 'bill_versions.billed_amount') }} as money_amount,
        {{ capped_amount('settlements.paid_by_due_date_amount', 'bill_versions.billed_amount') }}
            as paid_by_due_date_amount,
        {%- for days in [30, 60, 90] %}
        {{ capped_amount('settlements.paid_' ~ days ~ '_days_late_amount', 'bill_versions.billed_amount') }}
            as paid_{{ days }}_days_late_amount,
        {%- endfor %}
        {{ capped_amount('settlements.paid_before_default_amount', 'bill_versions.billed_amount') }}
            as paid_before_default_amount,
        cast(
            greatest(coalesce(settlements.paid_amount, 0) - bill_versions.billed_amount, 0) as decimal(18, 2)
        ) as overpaid_amount,
        bill_versions.issued_date,
        bill_versions.due_date,
        {{ add_days_to_date('bill_versions.due_date', 30) }} as overdue_30d_date,
        {{ add_days_to_date('bill_versions.due_date', var('default_days')) }} as default_date,
        settlements.fully_paid_date
    from bill_versions
    left join settlements
        on
            bill_versions.bill_id = settlements.bill_id
            and bill_versions.visible_from_month_number = settlements.visible_from_month_number

)

select * from final
