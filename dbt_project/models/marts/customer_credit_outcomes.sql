with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}

),

as_of_months as (

    select * from {{ ref('int_as_of_months') }}

),

billing as (

    select * from {{ ref('int_as_of_billing') }}

),

settlements as (

    select * from {{ ref('int_bill_settlement_versions') }}

),

service as (

    select * from {{ ref('int_as_of_service') }}

),

payments as (

    select visible_from_month_number from {{ ref('stg_billing__payments') }}

),

last_as_of_month as (

    select max(as_of_month_number) as last_as_of_month_number from as_of_months

),

-- Outcomes use what is known today: a label may become truer later, a feature may not. A payment that is dated in the
-- future says nothing about how far the payments reach.
last_months as (

    select
        last_as_of_month.last_as_of_month_number,
        max(payments.visible_from_month_number) as last_payments_month_number
    from last_as_of_month
    left join payments
        on payments.visible_from_month_number <= last_as_of_month.last_as_of_month_number
    group by last_as_of_month.last_as_of_month_number

),

defaults as (

    select
        customer_key,
        {{ month_number('default_date') }} as default_month_number
    from settlements
    where
        visible_until_month_number is null
        and paid_before_default_amount < billed_amount

),

first_bills as (

    select
        customer_key,
        min(due_month_number) as first_due_month_number
    from settlements
    where visible_until_month_number is null
    group by customer_key

),

default_counts as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        count(*) as defaults_count
    from as_of_customers
    inner join defaults
        on
            as_of_customers.customer_key = defaults.customer_key
            and defaults.default_month_number > as_of_customers.as_of_month_number
            and defaults.default_month_number
            <= as_of_customers.as_of_month_number + {{ var('default_horizon_months') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

windows as (

    select
        as_of_customers.customer_key,
        case
            when last_months.last_payments_month_number is null then 'no_payments'
            when as_of_customers.closed_date <= as_of_customers.month_end_date then 'closed'
            when coalesce(billing.bills_12m_count, 0) = 0 then 'no_bills'
            when billing.is_in_default then 'in_default'
            when service.has_open_dispute then 'disputed'
            when
                first_bills.first_due_month_number is null
                or first_bills.first_due_month_number > as_of_customers.as_of_month_number
                then 'too_new'
        end as exclusion,
        coalesce(default_counts.defaults_count, 0) as defaults_count,
        coalesce(
            as_of_customers.as_of_month_number + {{ var('default_horizon_months') }} <= last_months.last_as_of_month_number
            and as_of_customers.as_of_month_number + {{ var('default_horizon_months') }}
            <= last_months.last_payments_month_number,
            false
        ) as is_mature,
        as_of_customers.as_of_month,
        {{ month_end('(as_of_customers.as_of_month_number + ' ~ var('default_horizon_months') ~ ')') }}
            as window_end_date
    from as_of_customers
    cross join last_months
    left join billing
        on
            as_of_customers.customer_key = billing.customer_key
            and as_of_customers.as_of_month_number = billing.as_of_month_number
    left join service
        on
            as_of_customers.customer_key = service.customer_key
            and as_of_customers.as_of_month_number = service.as_of_month_number
    left join first_bills
        on as_of_customers.customer_key = first_bills.customer_key
    left join default_counts
        on
            as_of_customers.customer_key = default_counts.customer_key
            and as_of_customers.as_of_month_number = default_counts.as_of_month_number

),

final as (

    select
        customer_key,
        cast(as_of_month as date) as as_of_month,
        is_mature,
        case when is_mature then defaults_count > 0 end as is_default,
        exclusion,
        cast(window_end_date as date) as window_end_date
    from windows

)

select * from final
