with outcomes as (

    select * from {{ ref('customer_credit_outcomes') }}

),

as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}

),

settlements as (

    select * from {{ ref('int_bill_settlement_versions') }}

),

payments as (

    select visible_from_month_number from {{ ref('stg_billing__payments') }}

),

last_as_of_month as (

    select max(as_of_month_number) as last_as_of_month_number from as_of_customers

),

-- As for the outcomes: a payment that is dated in the future says nothing about how far the payments reach.
last_payments_month as (

    select max(payments.visible_from_month_number) as last_month_number
    from payments
    cross join last_as_of_month
    where payments.visible_from_month_number <= last_as_of_month.last_as_of_month_number

),

-- Whom the model of credit risk judges: a customer in default at the start cannot fall behind for the first time.
population as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        coalesce(as_of_customers.customer_class, 'unknown') as customer_class
    from as_of_customers
    inner join outcomes
        on
            as_of_customers.customer_key = outcomes.customer_key
            and cast(as_of_customers.as_of_month as date) = outcomes.as_of_month
            and outcomes.exclusion is null

),

bills as (

    select
        customer_key,
        billed_amount,
        billed_amount - paid_30_days_late_amount as unpaid_30d_amount,
        billed_amount - paid_60_days_late_amount as unpaid_60d_amount,
        billed_amount - paid_90_days_late_amount as unpaid_90d_amount,
        {{ month_number(add_days_to_date('due_date', 30)) }} as month_number_30d,
        {{ month_number(add_days_to_date('due_date', 60)) }} as month_number_60d,
        {{ month_number(add_days_to_date('due_date', 90)) }} as month_number_90d
    from settlements
    where visible_until_month_number is null

),

-- A bill counts from the month in which its 30th day past due lies, so that 90 days are a part of 60 and these of 30.
bills_of_vintages as (

    select
        population.as_of_month_number,
        population.customer_class,
        population.customer_key,
        bills.billed_amount,
        bills.unpaid_30d_amount,
        bills.unpaid_60d_amount,
        bills.unpaid_90d_amount,
        bills.month_number_30d - population.as_of_month_number as months_until_30d,
        bills.month_number_60d - population.as_of_month_number as months_until_60d,
        bills.month_number_90d - population.as_of_month_number as months_until_90d
    from population
    inner join bills
        on
            population.customer_key = bills.customer_key
            and bills.month_number_30d > population.as_of_month_number
            and bills.month_number_30d <= population.as_of_month_number + {{ var('vintage_months') }}

),

first_arrears as (

    select
        as_of_month_number,
        customer_class,
        customer_key,
        min(case when unpaid_30d_amount > 0 then months_until_30d end) as months_until_30d,
        min(case when unpaid_60d_amount > 0 then months_until_60d end) as months_until_60d,
        min(case when unpaid_90d_amount > 0 then months_until_90d end) as months_until_90d
    from bills_of_vintages
    group by as_of_month_number, customer_class, customer_key

),

-- What a month added to a vintage, by days past due: customers for the first time, and amounts.
added as (

    {%- for days in [30, 60, 90] %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        as_of_month_number,
        customer_class,
        {{ days }} as days_past_due,
        months_until_{{ days }}d as months_since,
        count(*) as customers_count,
        cast(0 as decimal(18, 2)) as reached_amount,
        cast(0 as decimal(18, 2)) as unpaid_amount
    from first_arrears
    where months_until_{{ days }}d is not null
    group by as_of_month_number, customer_class, months_until_{{ days }}d
    union all
    select
        as_of_month_number,
        customer_class,
        {{ days }} as days_past_due,
        months_until_{{ days }}d as months_since,
        0 as customers_count,
        sum(billed_amount) as reached_amount,
        sum(unpaid_{{ days }}d_amount) as unpaid_amount
    from bills_of_vintages
    group by as_of_month_number, customer_class, months_until_{{ days }}d
    {%- endfor %}

),

sizes as (

    select
        as_of_month_number,
        customer_class,
        count(*) as customers_count
    from population
    group by as_of_month_number, customer_class

),

-- A point stands once its months are over and their payments delivered.
points as (

    select
        sizes.as_of_month_number,
        sizes.customer_class,
        sizes.customers_count,
        ages.months_since
    from sizes
    cross join last_as_of_month
    cross join last_payments_month
    inner join {{ integer_series(1, var('vintage_months'), 'months_since') }} as ages
        on
            sizes.as_of_month_number + ages.months_since <= last_as_of_month.last_as_of_month_number
            and sizes.as_of_month_number + ages.months_since <= last_payments_month.last_month_number

),

cumulated as (

    select
        points.as_of_month_number,
        points.customer_class,
        points.customers_count,
        points.months_since,
        sum(case when added.days_past_due = 30 then added.reached_amount end) as due_amount,
        {%- for days in [30, 60, 90] %}
        sum(case when added.days_past_due = {{ days }} then added.customers_count end)
            as past_due_{{ days }}d_customers_count,
        sum(case when added.days_past_due = {{ days }} then added.unpaid_amount end)
            as past_due_{{ days }}d_amount{{ '' if loop.last else ',' }}
        {%- endfor %}
    from points
    left join added
        on
            points.as_of_month_number = added.as_of_month_number
            and points.customer_class = added.customer_class
            and points.months_since >= added.months_since
    group by
        points.as_of_month_number,
        points.customer_class,
        points.customers_count,
        points.months_since

),

final as (

    select
        cast({{ month_start('as_of_month_number') }} as date) as as_of_month,
        customer_class,
        cast(months_since as integer) as months_since,
        cast(customers_count as integer) as customers_count,
        {%- for days in [30, 60, 90] %}
        cast(coalesce(past_due_{{ days }}d_customers_count, 0) as integer) as past_due_{{ days }}d_customers_count,
        {%- endfor %}
        cast(coalesce(due_amount, 0) as decimal(18, 2)) as due_amount,
        {%- for days in [30, 60, 90] %}
        cast(coalesce(past_due_{{ days }}d_amount, 0) as decimal(18, 2)) as past_due_{{ days }}d_amount{{ '' if loop.last else ',' }}
        {%- endfor %}
    from cumulated

)

select * from final
