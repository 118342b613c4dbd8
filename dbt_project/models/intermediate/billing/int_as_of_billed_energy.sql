with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}
    where recency_rank <= {{ var('feature_months') }}

),

bills as (

    select * from {{ ref('stg_billing__bills') }}

),

sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        sum(bills.billed_kwh) as billed_kwh,
        sum(bills.billed_amount) as billed_amount
    from as_of_customers
    inner join bills
        on
            as_of_customers.customer_key = bills.customer_key
            and {{ month_number('bills.issued_date') }} between
                as_of_customers.as_of_month_number - 11 and as_of_customers.as_of_month_number
            and {{ is_visible_in('bills', 'as_of_customers.as_of_month_number') }}
    -- An amount without its energy, or the other way round, says nothing about the price.
    where
        bills.billed_kwh is not null
        and bills.billed_amount is not null
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

final as (

    select
        customer_key,
        as_of_month_number,
        case
            when billed_kwh > 0 and billed_amount >= 0
                then cast(billed_amount as double) / cast(billed_kwh as double)
        end as billed_amount_per_kwh
    from sums

)

select * from final
